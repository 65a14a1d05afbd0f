//go:build tools

// Names the one program of this module: the conformance tests that the driver has to pass.
package tools

import _ "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity"
