package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// order is what must exist before what; kinds that are not named come before "last".
var order = []string{
	"Namespace", "PriorityClass", "StorageClass", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "Role",
	"ClusterRoleBinding", "RoleBinding", "Node", "PersistentVolume", "PersistentVolumeClaim",
	"Deployment", "StatefulSet", "DaemonSet", "CronJob", "ReplicaSet", "ReplicationController", "Job", "Pod",
}

var last = []string{
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy",
	"MutatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
}

// withStatus are the kinds whose status a cluster's readers look at and that has a subresource of its own.
var withStatus = []string{"Pod", "Node", "Service", "Ingress", "PersistentVolume", "PersistentVolumeClaim"}

// metadataLists are the kinds whose metadata alone a dump holds, by the name of the file; others are left out.
var metadataLists = map[string]string{"secrets": "Secret", "configmaps": "ConfigMap"}

type loader struct {
	client dynamic.Interface
	mapper meta.RESTMapper
	uids   sync.Map // kind/namespace/name → uid on this server
	made   atomic.Int64
}

// load creates the objects of the files, or replaces those that exist, eight at a time, one kind after the other.
func load(ctx context.Context, kubeconfig string, paths, skip []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst, config.WarningHandler = 500, 1000, rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	groups, err := restmapper.GetAPIGroupResources(disco)
	if err != nil {
		return err
	}
	objects, err := read(paths)
	if err != nil {
		return err
	}
	objects = append(priorityClasses(objects), objects...)
	l := &loader{client: client, mapper: restmapper.NewDiscoveryRESTMapper(groups)}
	started := time.Now()
	var failures []error
	byRank := map[int][]*unstructured.Unstructured{}
	for _, object := range objects {
		if !slices.Contains(skip, object.GetKind()) {
			byRank[rank(object.GetKind())] = append(byRank[rank(object.GetKind())], object)
		}
	}
	ranks := make([]int, 0, len(byRank))
	for r := range byRank {
		ranks = append(ranks, r)
	}
	sort.Ints(ranks)
	for _, r := range ranks {
		failures = append(failures, l.all(ctx, byRank[r])...)
	}
	fmt.Printf("loaded %d of %d objects in %.1f s\n", l.made.Load(), len(objects), time.Since(started).Seconds())
	return errors.Join(failures...)
}

func rank(kind string) int {
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order) + 1 + slices.Index(last, kind)
}

// read returns the objects of files and folders, lists unpacked, in the order of names.
func read(paths []string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)) {
				return nil
			}
			more, err := readFile(file)
			objects = append(objects, more...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return objects, nil
}

func readFile(path string) ([]*unstructured.Unstructured, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bufio.NewReader(file), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if object.GetKind() == "" { // empty, or the answer of `kubectl version`
			continue
		}
		if !object.IsList() {
			objects = append(objects, object)
			continue
		}
		err := object.EachListItem(func(item runtime.Object) error {
			element := item.(*unstructured.Unstructured)
			if element.GetKind() == "" {
				element.SetKind(strings.TrimSuffix(object.GetKind(), "List"))
				element.SetAPIVersion(object.GetAPIVersion())
			}
			if element.GetKind() == "PartialObjectMetadata" {
				kind, known := metadataLists[strings.SplitN(filepath.Base(path), ".", 2)[0]]
				if !known {
					return nil
				}
				element.SetKind(kind)
				element.SetAPIVersion("v1")
			}
			objects = append(objects, element)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// priorityClasses makes the classes that pods name and the input lacks, with the pods' own values.
func priorityClasses(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	known := map[string]bool{"system-cluster-critical": true, "system-node-critical": true}
	for _, object := range objects {
		if object.GetKind() == "PriorityClass" {
			known[object.GetName()] = true
		}
	}
	var made []*unstructured.Unstructured
	for _, object := range objects {
		name, _, _ := unstructured.NestedString(object.Object, "spec", "priorityClassName")
		if object.GetKind() != "Pod" || name == "" || known[name] {
			continue
		}
		known[name] = true
		value, _, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", "priority")
		if value == nil {
			value = int64(0)
		}
		made = append(made, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
			"metadata": map[string]any{"name": name}, "value": value,
		}})
	}
	return made
}

func (l *loader) all(ctx context.Context, objects []*unstructured.Unstructured) []error {
	var (
		group    sync.WaitGroup
		lock     sync.Mutex
		failures []error
	)
	work := make(chan *unstructured.Unstructured)
	for range 8 {
		group.Go(func() {
			for object := range work {
				if err := l.one(ctx, object); err != nil {
					lock.Lock()
					failures = append(failures, fmt.Errorf("%s: %w", key(object), err))
					lock.Unlock()
				}
			}
		})
	}
	for _, object := range objects {
		work <- object
	}
	close(work)
	group.Wait()
	return failures
}

func key(object *unstructured.Unstructured) string {
	return object.GetKind() + "/" + object.GetNamespace() + "/" + object.GetName()
}

// one creates an object; conflicts with what controllers do at the same time are tried again for ten seconds.
func (l *loader) one(ctx context.Context, object *unstructured.Unstructured) error {
	l.prepare(object)
	kind := object.GroupVersionKind()
	mapping, err := l.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	var client dynamic.ResourceInterface = l.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if object.GetNamespace() == "" {
			object.SetNamespace(metav1.NamespaceDefault)
		}
		client = l.client.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	limit := time.Now().Add(10 * time.Second)
	for {
		made, err := put(ctx, client, object)
		if err == nil {
			l.uids.Store(key(object), string(made.GetUID()))
			l.made.Add(1)
			return nil
		}
		waits := apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsServerTimeout(err) ||
			apierrors.IsForbidden(err) && strings.Contains(err.Error(), "error looking up service account")
		if !waits || time.Now().After(limit) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func put(ctx context.Context, client dynamic.ResourceInterface, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	made, err := client.Create(ctx, object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationIgnore})
	if err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsInvalid(err) {
		return nil, err
	}
	if err != nil {
		there, missing := client.Get(ctx, object.GetName(), metav1.GetOptions{})
		if missing != nil {
			return nil, err // Invalid, and not because it exists
		}
		again := object.DeepCopy()
		again.SetResourceVersion(there.GetResourceVersion())
		if address, found, _ := unstructured.NestedFieldCopy(there.Object, "spec", "clusterIP"); found {
			_ = unstructured.SetNestedField(again.Object, address, "spec", "clusterIP")
		}
		if made, err = client.Update(ctx, again, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
	}
	status, found := object.Object["status"]
	if !found || !slices.Contains(withStatus, object.GetKind()) {
		return made, nil
	}
	made.Object["status"] = status
	return client.UpdateStatus(ctx, made, metav1.UpdateOptions{})
}

// prepare takes away what only the server may set, and points owner references at the objects of this server.
func (l *loader) prepare(object *unstructured.Unstructured) {
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "managedFields", "deletionTimestamp"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	owners := object.GetOwnerReferences()
	for i, owner := range owners {
		if uid, found := l.uids.Load(owner.Kind + "/" + object.GetNamespace() + "/" + owner.Name); found {
			owners[i].UID = types.UID(uid.(string))
		} else if owner.UID == "" {
			owners[i].UID = "00000000-0000-0000-0000-000000000000"
		}
	}
	if len(owners) > 0 {
		object.SetOwnerReferences(owners)
	}
	switch object.GetKind() {
	case "Job":
		if manual, _, _ := unstructured.NestedBool(object.Object, "spec", "manualSelector"); !manual {
			unstructured.RemoveNestedField(object.Object, "spec", "selector")
			for _, label := range []string{"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"} {
				unstructured.RemoveNestedField(object.Object, "metadata", "labels", label)
				unstructured.RemoveNestedField(object.Object, "spec", "template", "metadata", "labels", label)
			}
		}
	case "Service":
		if address, _, _ := unstructured.NestedString(object.Object, "spec", "clusterIP"); address != "None" {
			unstructured.RemoveNestedField(object.Object, "spec", "clusterIP")
			unstructured.RemoveNestedField(object.Object, "spec", "clusterIPs")
		}
	case "PersistentVolume":
		unstructured.RemoveNestedField(object.Object, "spec", "claimRef", "uid")
		unstructured.RemoveNestedField(object.Object, "spec", "claimRef", "resourceVersion")
	}
}
