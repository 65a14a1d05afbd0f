//go:build tools

// Names the one program of this module: the S3-compatible storage that backups are copied to.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
