// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package acme has the names of lego that Traefik needs in order to compile.
package acme

import "errors"

// ErrLeftOut is what every call of this module answers.
var ErrLeftOut = errors.New("this build of Traefik has no ACME client: bring certificates as Secrets")

type Account struct {
	Status  string   `json:"status,omitempty"`
	Contact []string `json:"contact,omitempty"`
}

type ExtendedAccount struct {
	Account
	Location string `json:"-"`
}
