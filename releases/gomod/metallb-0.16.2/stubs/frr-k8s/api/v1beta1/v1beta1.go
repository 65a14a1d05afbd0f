// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package v1beta1 has the names of frr-k8s' API that MetalLB needs in order to compile. They are in no scheme, so a
// speaker that is told to speak BGP through frr-k8s gets an error from its first call.
package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AddToScheme adds nothing.
func AddToScheme(*runtime.Scheme) error { return nil }

type FRRConfiguration struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              FRRConfigurationSpec `json:"spec"`
}

func (c *FRRConfiguration) DeepCopy() *FRRConfiguration {
	copied := *c
	return &copied
}

func (c *FRRConfiguration) DeepCopyObject() runtime.Object { return c.DeepCopy() }

func (s *FRRConfigurationSpec) DeepCopyInto(out *FRRConfigurationSpec) { *out = *s }

type FRRConfigurationSpec struct {
	BGP          BGPConfig
	NodeSelector metav1.LabelSelector
}

type BGPConfig struct {
	Routers     []Router
	BFDProfiles []BFDProfile
}

type Router struct {
	ASN       uint32
	ID, VRF   string
	Neighbors []Neighbor
	Prefixes  []string
}

type DynamicASNMode string

type SecretReference struct{ Name, Namespace string }

type Neighbor struct {
	Address, Interface                                                     string
	ASN                                                                    uint32
	DynamicASN                                                             DynamicASNMode
	Port                                                                   *uint16
	HoldTime, KeepaliveTime, ConnectTime                                   *metav1.Duration
	BFDProfile, Password                                                   string
	EnableGracefulRestart, EBGPMultiHop, DualStackAddressFamily, DisableMP bool
	ToAdvertise                                                            Advertise
	PasswordSecret                                                         SecretReference
}

type Advertise struct {
	Allowed                   AllowedOutPrefixes
	PrefixesWithLocalPref     []LocalPrefPrefixes
	PrefixesWithCommunity     []CommunityPrefixes
	PrefixesWithAsPathPrepend []AsPathPrependPrefixes
}

type AllowedOutPrefixes struct{ Prefixes []string }

type LocalPrefPrefixes struct {
	LocalPref uint32
	Prefixes  []string
}

type CommunityPrefixes struct {
	Community string
	Prefixes  []string
}

type AsPathPrependPrefixes struct {
	AsPathPrepend uint8
	Prefixes      []string
}

type BFDProfile struct {
	Name                                                                          string
	ReceiveInterval, TransmitInterval, DetectMultiplier, EchoInterval, MinimumTTL *uint32
	EchoMode, PassiveMode                                                         *bool
}
