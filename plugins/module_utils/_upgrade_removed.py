# Copyright (c) 2026, hostplane contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# Do not use this from other collections or standalone plugins/modules!
"""What each minor of Kubernetes takes away: API versions, feature gates, flags, kinds of volumes.

Of the API versions the release is what the source says (APILifecycleRemoved in k8s.io/api). Gates and flags are what
differs between the sources of a minor and the one before it.
"""

from __future__ import annotations

from typing import NamedTuple


class Api(NamedTuple):
    """An API version that a minor no longer serves; replacement is empty where there is none."""

    minor: int
    group: str
    version: str
    kind: str
    resource: str
    replacement: str

    @property
    def name(self) -> str:
        return f"{self.group}/{self.version}"


_ADMISSION, _FLOW = "admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io"
_NETWORK, _STORAGE, _DRA = "networking.k8s.io", "storage.k8s.io", "resource.k8s.io"
_CERTIFICATES, _LEASES, _SCHEDULING = "certificates.k8s.io", "coordination.k8s.io", "scheduling.k8s.io"
_VALIDATING = (
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
)
_MUTATING = (
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
)
_CLAIMS = (
    ("DeviceClass", "deviceclasses"),
    ("ResourceClaim", "resourceclaims"),
    ("ResourceClaimTemplate", "resourceclaimtemplates"),
    ("ResourceSlice", "resourceslices"),
)


def _rows(minor: int, group: str, version: str, kinds: tuple[tuple[str, str], ...], replacement: str) -> list[Api]:
    return [Api(minor, group, version, kind, resource, replacement) for kind, resource in kinds]


APIS: list[Api] = [
    *_rows(32, _FLOW, "v1beta3", (("FlowSchema", "flowschemas"),), "v1"),
    *_rows(32, _FLOW, "v1beta3", (("PriorityLevelConfiguration", "prioritylevelconfigurations"),), "v1"),
    *_rows(32, _ADMISSION, "v1alpha1", _VALIDATING, "v1"),
    *_rows(34, _ADMISSION, "v1beta1", _VALIDATING, "v1"),
    *_rows(35, _STORAGE, "v1alpha1", (("VolumeAttributesClass", "volumeattributesclasses"),), "v1"),
    # Alpha APIs carry no date of removal: this one is not in the source of 1.36 any more.
    *_rows(36, _SCHEDULING, "v1alpha1", (("Workload", "workloads"),), ""),
    *_rows(37, _CERTIFICATES, "v1alpha1", (("ClusterTrustBundle", "clustertrustbundles"),), "v1beta1"),
    *_rows(37, _NETWORK, "v1beta1", (("IPAddress", "ipaddresses"), ("ServiceCIDR", "servicecidrs")), "v1"),
    *_rows(37, _STORAGE, "v1beta1", (("VolumeAttributesClass", "volumeattributesclasses"),), "v1"),
    *_rows(38, _ADMISSION, "v1alpha1", _MUTATING, "v1beta1"),
    *_rows(38, _LEASES, "v1alpha2", (("LeaseCandidate", "leasecandidates"),), "v1beta1"),
    *_rows(38, _DRA, "v1beta1", _CLAIMS, "v1"),
    *_rows(39, _LEASES, "v1beta1", (("LeaseCandidate", "leasecandidates"),), ""),
    *_rows(39, _DRA, "v1alpha3", (("DeviceTaintRule", "devicetaintrules"),), "v1beta2"),
    *_rows(39, _DRA, "v1beta2", _CLAIMS, "v1"),
]

# Gate: the first minor that doesn't know it. A component that is given an unknown gate doesn't start.
_GATES_BY_MINOR: dict[int, tuple[str, ...]] = {
    32: (
        "AllowServiceLBStatusOnNonLB",
        "CloudDualStackNodeIPs",
        "DRAControlPlaneController",
        "HPAContainerMetrics",
        "KMSv2",
        "KMSv2KDF",
        "LegacyServiceAccountTokenCleanUp",
        "MinDomainsInPodTopologySpread",
        "NewVolumeManagerReconstruction",
        "NodeOutOfServiceVolumeDetach",
        "ServerSideApply",
        "ServerSideFieldValidation",
        "StableLoadBalancerNodeSet",
        "ValidatingAdmissionPolicy",
        "ZeroLimitedNominalConcurrencyShares",
    ),
    33: (
        "AppArmor",
        "AppArmorFields",
        "CPUManager",
        "DisableCloudProviders",
        "DisableKubeletCloudCredentialProviders",
        "JobPodFailurePolicy",
        "KubeProxyDrainingTerminatingNodes",
        "PDBUnhealthyPodEvictionPolicy",
        "PersistentVolumeLastPhaseTransitionTime",
        "VolumeCapacityPriority",
    ),
    34: ("DevicePluginCDIDevices", "LegacySidecarContainers", "PodDisruptionConditions"),
    35: ("SizeMemoryBackedVolumes",),
    36: (
        "CSIMigrationPortworx",
        "HonorPVReclaimPolicy",
        "InPlacePodVerticalScalingAllocatedStatus",
        "InTreePluginPortworxUnregister",
        "MemoryManager",
        "ServiceTrafficDistribution",
        "StructuredAuthorizationConfiguration",
        "TopologyAwareHints",
        "WatchFromStorageWithoutResourceVersion",
    ),
}
GATES: dict[str, int] = {gate: minor for minor, gates in _GATES_BY_MINOR.items() for gate in gates}
# Gate: the first minor that fixes it, and to what. With the other value a component doesn't start either.
LOCKED: dict[str, tuple[int, bool]] = {
    **dict.fromkeys(
        (
            "CSIServiceAccountTokenSecrets",
            "DRAAdminAccess",
            "DeclarativeValidation",
            "DisableNodeKubeProxyVersion",
            "ExternalServiceAccountTokenSigner",
            "ImageVolume",
            "InOrderInformers",
            "KubeletFineGrainedAuthz",
            "KubeletPSI",
            "KubeletPodResourcesDynamicResources",
            "KubeletPodResourcesGet",
            "MutableCSINodeAllocatableCount",
            "NodeLogQuery",
            "ProcMountType",
            "SELinuxChangePolicy",
            "SELinuxMountReadWriteOncePod",
            "TopologyManagerPolicyOptions",
            "UserNamespacesSupport",
            "VolumeAttributesClass",
        ),
        (36, True),
    ),
    "GitRepoVolumeDriver": (36, False),
    "SeparateCacheWatchRPC": (36, False),
}
# kubeadm has gates of its own, in ClusterConfiguration.
KUBEADM_GATES: dict[str, int] = {"ControlPlaneKubeletLocalMode": 36}

# Component to flag to the first minor that doesn't know it; an unknown flag ends the program.
FLAGS: dict[str, dict[str, int]] = {
    "kube-apiserver": {"cloud-config": 33, "cloud-provider": 33},
    "kube-controller-manager": {
        "horizontal-pod-autoscaler-downscale-delay": 31,
        "horizontal-pod-autoscaler-upscale-delay": 31,
        "volume-host-allow-local-loopback": 31,
        "volume-host-cidr-denylist": 31,
    },
    "kubelet": {
        "cloud-config": 34,
        "container-runtime": 27,
        "iptables-drop-bit": 31,
        "iptables-masquerade-bit": 31,
        "keep-terminated-pod-volumes": 31,
        "pod-infra-container-image": 35,
    },
}
# A kind of volume that pods may still ask for, and what to use instead.
VOLUMES: dict[str, tuple[int, str]] = {
    "gitRepo": (36, "clone in an init container into an emptyDir volume"),
}
# Oldest containerd that the kubelet of a minor works with.
CONTAINERD: dict[int, tuple[int, int, int]] = {37: (2, 0, 0)}
# The kubelet refuses cgroup version 1 from here on, unless failCgroupV1 is false.
CGROUP_V1_REFUSED = 35
