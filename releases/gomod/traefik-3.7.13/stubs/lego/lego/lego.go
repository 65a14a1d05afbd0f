// Copyright (c) 2026, hostplane contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package lego has the names of lego that Traefik needs in order to compile.
package lego

import (
	"crypto"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/registration"
)

const DirectoryURLLetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

type User interface {
	GetEmail() string
	GetRegistration() *acme.ExtendedAccount
	GetPrivateKey() crypto.Signer
}

type CertificateConfig struct{ Timeout time.Duration }

type Config struct {
	CADirURL, UserAgent string
	HTTPClient          *http.Client
	Certificate         CertificateConfig
}

func NewConfig(User) *Config { return &Config{} }

type Solvers struct{}

func (*Solvers) SetDNS01Provider(challenge.Provider, ...challenge.Option) error {
	return acme.ErrLeftOut
}

func (*Solvers) SetHTTP01Provider(challenge.Provider, ...challenge.Option) error {
	return acme.ErrLeftOut
}

func (*Solvers) SetTLSALPN01Provider(challenge.Provider, ...challenge.Option) error {
	return acme.ErrLeftOut
}

type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *Solvers
	Registration *registration.Registrar
}

func NewClient(*Config) (*Client, error) { return nil, acme.ErrLeftOut }

func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, acme.ErrLeftOut }
