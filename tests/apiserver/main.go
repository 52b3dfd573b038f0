// Command apiserver runs a real kube-apiserver with an embedded etcd and the controllers that its answers depend on,
// and loads objects into a cluster. It is a test tool: one loopback port, fresh state, no durability.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
)

const usage = `usage:
  apiserver serve --dir DIR [--exit-on-stdin-eof] [-- KUBE-APISERVER-FLAGS]
      Serves until SIGTERM. DIR gets admin.kubeconfig (client certificate), token.kubeconfig (token), audit.log
      and the keys; it must be short, a unix socket lies in it.
  apiserver load --kubeconfig FILE [--skip KIND,…] PATH…
      Creates or replaces the objects of YAML or JSON files, and of folders of them.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := pflag.NewFlagSet(args[0], pflag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	switch args[0] {
	case "serve":
		dir := flags.String("dir", "", "folder of the server's files")
		eof := flags.Bool("exit-on-stdin-eof", false, "end when standard input ends")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if *dir == "" {
			return errors.New("--dir is needed")
		}
		if *eof {
			var cancel context.CancelFunc
			ctx, cancel = context.WithCancel(ctx)
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				cancel()
			}()
		}
		return serve(ctx, *dir, flags.Args())
	case "load":
		kubeconfig := flags.String("kubeconfig", "", "kubeconfig of an administrator")
		skip := flags.StringSlice("skip", nil, "kinds to leave out")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return load(ctx, *kubeconfig, flags.Args(), *skip)
	default:
		return errors.New(usage)
	}
}
