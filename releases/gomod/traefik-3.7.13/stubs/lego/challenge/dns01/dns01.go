// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package dns01 has the names of lego that Traefik needs in order to compile.
package dns01

import (
	"strings"
	"time"

	"github.com/go-acme/lego/v5/challenge"
)

type Options struct{ RecursiveNameservers []string }

type Client struct{}

func NewClient(*Options) *Client { return &Client{} }

func SetDefaultClient(*Client) {}

func CondOptions(bool, ...challenge.Option) challenge.Option { return nil }

func DisableAuthoritativeNssPropagationRequirement() challenge.Option { return nil }

func DisableRecursiveNSsPropagationRequirement() challenge.Option { return nil }

func PropagationWait(time.Duration, bool) challenge.Option { return nil }

// UnFqdn is the one function that is used without ACME too.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
