// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package log has the names of lego that Traefik needs in order to compile.
package log

import "log/slog"

func SetDefault(*slog.Logger) {}
