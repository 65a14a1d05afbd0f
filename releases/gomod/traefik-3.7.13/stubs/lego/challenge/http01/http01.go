// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package http01 has the names of lego that Traefik needs in order to compile.
package http01

import (
	"time"

	"github.com/go-acme/lego/v5/challenge"
)

const PathPrefix = "/.well-known/acme-challenge/"

func SetDelay(time.Duration) challenge.Option { return nil }
