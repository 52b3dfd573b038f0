package main

import (
	"context"
	"crypto/ecdsa"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/certificates/signer"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/namespace"
	serviceaccounts "k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

const (
	workers = 4
	certTTL = 24 * time.Hour
)

type runner interface {
	Run(ctx context.Context, workers int)
}

// startControllers starts what an API server alone lacks: default accounts, their token Secrets, aggregated
// ClusterRoles, the end of namespaces, kube-root-ca.crt and the two client certificate signers.
func startControllers(ctx context.Context, config *rest.Config, f files, signing *ecdsa.PrivateKey) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(f.path("ca.crt"))
	if err != nil {
		return err
	}
	generator, err := serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, signing)
	if err != nil {
		return err
	}
	logger := klog.FromContext(ctx)
	shared := informers.NewSharedInformerFactory(client, 0)
	core := shared.Core().V1()
	requests := shared.Certificates().V1().CertificateSigningRequests()

	accounts, err := accountsController(logger, core.ServiceAccounts(), core.Namespaces(), client)
	if err != nil {
		return err
	}
	tokens, err := serviceaccounts.NewTokensController(logger, core.ServiceAccounts(), core.Secrets(), client,
		serviceaccounts.TokensControllerOptions{TokenGenerator: generator, RootCA: ca})
	if err != nil {
		return err
	}
	publisher, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), client, ca)
	if err != nil {
		return err
	}
	apiserverClient, err := signer.NewKubeAPIServerClientCSRSigningController(ctx, client, requests,
		f.path("ca.crt"), f.path("ca.key"), certTTL)
	if err != nil {
		return err
	}
	kubeletClient, err := signer.NewKubeletClientCSRSigningController(ctx, client, requests,
		f.path("ca.crt"), f.path("ca.key"), certTTL)
	if err != nil {
		return err
	}
	all := []runner{
		accounts, tokens, publisher, apiserverClient, kubeletClient,
		clusterroleaggregation.NewClusterRoleAggregation(shared.Rbac().V1().ClusterRoles(), client.RbacV1()),
		namespace.NewNamespaceController(ctx, client, meta, client.Discovery().ServerPreferredNamespacedResources,
			core.Namespaces(), time.Hour, v1.FinalizerKubernetes),
	}
	shared.Start(ctx.Done())
	for _, controller := range all {
		go controller.Run(ctx, workers)
	}
	return nil
}
