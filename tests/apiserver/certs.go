package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// files are the paths of the keys, certificates and tokens in the server's folder.
type files struct{ dir string }

func (f files) path(name string) string { return filepath.Join(f.dir, name) }

// identity is a key with its certificate.
type identity struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// write makes every key and certificate, and the token of the user "admin".
func (f files) write() (token string, signing *ecdsa.PrivateKey, err error) {
	ca, err := f.issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "kpath-test-ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, nil)
	if err != nil {
		return "", nil, err
	}
	if _, err = f.issue("server", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes.default.svc"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, ca); err != nil {
		return "", nil, err
	}
	if _, err = f.issue("admin", &x509.Certificate{
		Subject:     pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca); err != nil {
		return "", nil, err
	}
	signing, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	if err = f.key("sa.key", signing); err != nil {
		return "", nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(&signing.PublicKey)
	if err != nil {
		return "", nil, err
	}
	if err = f.pem("sa.pub", "PUBLIC KEY", public); err != nil {
		return "", nil, err
	}
	random := make([]byte, 16)
	if _, err = rand.Read(random); err != nil {
		return "", nil, err
	}
	token = hex.EncodeToString(random)
	line := token + ",token-admin,uid-admin,\"system:masters\"\n"
	return token, signing, os.WriteFile(f.path("tokens.csv"), []byte(line), 0o600)
}

func (f files) issue(name string, template *x509.Certificate, ca *identity) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(7 * 24 * time.Hour)
	if template.KeyUsage == 0 {
		template.KeyUsage = x509.KeyUsageDigitalSignature
	}
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if err = f.pem(name+".crt", "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return &identity{cert, key}, f.key(name+".key", key)
}

func (f files) key(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return f.pem(name, "EC PRIVATE KEY", der)
}

func (f files) pem(name, kind string, der []byte) error {
	return os.WriteFile(f.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
