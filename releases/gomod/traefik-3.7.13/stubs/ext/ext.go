// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package ext is where Traefik's vendor adds settings of its other products; in Traefik itself it is as empty as here.
package ext

type HTTP struct{}

type Router struct{}
