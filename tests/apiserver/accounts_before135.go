//go:build before135

package main

import (
	core "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	serviceaccounts "k8s.io/kubernetes/pkg/controller/serviceaccount"
)

// accountsController is the one that makes default accounts; its constructor takes a logger since 1.35.
func accountsController(_ klog.Logger, accounts core.ServiceAccountInformer, namespaces core.NamespaceInformer,
	client kubernetes.Interface) (runner, error) {
	return serviceaccounts.NewServiceAccountsController(accounts, namespaces, client,
		serviceaccounts.DefaultServiceAccountsControllerOptions())
}
