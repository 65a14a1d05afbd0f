// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package tlsalpn01 has the names of lego that Traefik needs in order to compile.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/challenge"
)

const ACMETLS1Protocol = "acme-tls/1"

func ChallengeBlocks(string, string) ([]byte, []byte, error) { return nil, nil, acme.ErrLeftOut }

func SetDelay(time.Duration) challenge.Option { return nil }
