package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

const issuer = "https://kubernetes.default.svc"

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// serve runs etcd, the API server and the controllers until ctx ends. The kubeconfigs appear when all is ready.
func serve(ctx context.Context, dir string, extra []string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f := files{dir}
	token, signing, err := f.write()
	if err != nil {
		return err
	}
	if err = os.WriteFile(f.path("audit.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	store, err := startEtcd(f)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer store.Close()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := listener.Addr().(*net.TCPAddr)
	s := options.NewServerRunOptions()
	all := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range s.Flags().FlagSets {
		all.AddFlagSet(set)
	}
	if err = all.Parse(append(serverFlags(f), extra...)); err != nil {
		return err
	}
	s.SecureServing.Listener = listener
	s.SecureServing.BindPort = address.Port
	if err = s.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	completed, err := s.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return errors.Join(errs...)
	}
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx, completed) }()

	config := &rest.Config{
		Host:            "https://" + address.String(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: f.path("ca.crt")},
		QPS:             500, Burst: 1000,
	}
	if err = ready(ctx, config, ended); err != nil {
		return err
	}
	if err = startControllers(ctx, config, f, signing); err != nil {
		return fmt.Errorf("controllers: %w", err)
	}
	if err = kubeconfigs(f, config.Host, token); err != nil {
		return err
	}
	fmt.Println("READY", config.Host)
	return <-ended
}

// startEtcd starts a store that listens on a unix socket only and never syncs.
func startEtcd(f files) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Dir = f.path("etcd")
	unused, err := url.Parse("http://127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	config.ListenClientUrls = []url.URL{{Scheme: "unix", Path: f.path("etcd.sock")}}
	config.AdvertiseClientUrls = []url.URL{*unused}
	config.ListenPeerUrls = nil
	config.AdvertisePeerUrls = []url.URL{*unused}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	config.LogOutputs = []string{"stderr"}
	store, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-store.Server.ReadyNotify():
		return store, nil
	case <-time.After(time.Minute):
		store.Close()
		return nil, errors.New("not ready after a minute")
	}
}

func serverFlags(f files) []string {
	return []string{
		"--etcd-servers=unix://" + f.path("etcd.sock"),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/16",
		"--tls-cert-file=" + f.path("server.crt"), "--tls-private-key-file=" + f.path("server.key"),
		"--client-ca-file=" + f.path("ca.crt"), "--token-auth-file=" + f.path("tokens.csv"),
		"--service-account-issuer=" + issuer,
		"--service-account-key-file=" + f.path("sa.pub"), "--service-account-signing-key-file=" + f.path("sa.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--profiling=false",
		"--audit-policy-file=" + f.path("audit.yaml"), "--audit-log-path=" + f.path("audit.log"),
	}
}

// ready waits until the server says so, for two minutes at most.
func ready(ctx context.Context, config *rest.Config, ended <-chan error) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	limit := time.After(2 * time.Minute)
	for {
		if _, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err == nil {
			return nil
		}
		select {
		case end := <-ended:
			return errors.Join(errors.New("the server ended before it was ready"), end)
		case <-limit:
			return fmt.Errorf("not ready after two minutes: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// kubeconfigs writes admin.kubeconfig, which authenticates by client certificate, and token.kubeconfig.
func kubeconfigs(f files, host, token string) error {
	users := map[string]*api.AuthInfo{
		"token": {Token: token},
		"admin": {ClientCertificate: f.path("admin.crt"), ClientKey: f.path("admin.key")},
	}
	for _, name := range []string{"token", "admin"} {
		config := api.NewConfig()
		config.Clusters["test"] = &api.Cluster{Server: host, CertificateAuthority: f.path("ca.crt")}
		config.AuthInfos[name] = users[name]
		config.Contexts[name] = &api.Context{Cluster: "test", AuthInfo: name}
		config.CurrentContext = name
		target := f.path(name + ".kubeconfig")
		if err := clientcmd.WriteToFile(*config, target+".tmp"); err != nil {
			return err
		}
		if err := os.Rename(target+".tmp", target); err != nil {
			return err
		}
	}
	return nil
}
