package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

const (
	// stalled is how long an engine may download nothing at all before it is given up.
	stalled = 15 * time.Second
	// building is how long it may take to build an image.
	building = 5 * time.Minute
)

// Image returns the name of a Docker image of the product that the engine has, as Start would take it, for tests that start
// containers by themselves. It downloads the image or builds it if need be, and from then on testcontainers does without a
// container that watches over others: see RemoveOrphan. It fails where the machine or the environment has no Docker.
func Image(ctx context.Context, product Product, report func(string, ...any)) (string, error) {
	sources, err := Sources()
	if err != nil {
		return "", err
	}
	if !slices.Contains(sources, Docker) {
		return "", errors.New("the environment leaves out Docker")
	}
	provider, err := engine(ctx)
	if err != nil {
		return "", err
	}
	defer provider.Close() //nolint:errcheck // what it was asked is known
	return findImage(ctx, provider.Client(), product, report)
}

// RemoveOrphan has a container removed when this process ends, by whatever death, before it calls release. If there is no docker
// command, then a process that dies leaves its container behind.
func RemoveOrphan(container string) (release func(), err error) {
	return deadman(`docker rm -f -v "$1"`, container)
}

// findImage returns the name of an image that the engine has: the one that the environment names, the official one, or
// the one built here. If it has none yet, it downloads the official one, or else builds its own.
func findImage(ctx context.Context, docker client.APIClient, product Product, report func(string, ...any)) (string, error) {
	if image := os.Getenv(product.Variable + "_IMAGE"); image != "" {
		present, err := has(ctx, docker, image)
		if err == nil && !present {
			err = pull(ctx, docker, image, report)
		}
		if err != nil {
			err = fmt.Errorf("%s_IMAGE=%s: %w", product.Variable, image, err)
		}
		return image, err
	}
	for _, image := range []string{product.Container.Image, product.Container.Own} {
		if present, err := has(ctx, docker, image); present || err != nil {
			return image, err
		}
	}
	notPulled := pull(ctx, docker, product.Container.Image, report)
	if notPulled == nil {
		return product.Container.Image, nil
	}
	report("building the image %s from Debian packages, once: %v", product.Container.Own, notPulled)
	if err := build(ctx, docker, product.Container); err != nil {
		return "", errors.Join(notPulled, err)
	}
	return product.Container.Own, nil
}

func has(ctx context.Context, docker client.APIClient, image string) (bool, error) {
	_, err := docker.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// pull downloads an image, as long as there is progress.
func pull(ctx context.Context, docker client.APIClient, image string, report func(string, ...any)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(stalled, func() { cancel(fmt.Errorf("no progress in %v", stalled)) })
	defer timer.Stop()
	report("pulling the image %s", image)
	messages, err := docker.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		for message, fault := range messages.JSONMessages(ctx) {
			timer.Reset(stalled)
			err = errors.Join(err, fault)
			if message.Error != nil {
				err = errors.Join(err, message.Error)
			}
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("pulling %s: %w", image, err)
	}
	return nil
}

// build makes the product's own image and hands it to the engine, which takes it while it is made.
func build(ctx context.Context, docker client.APIClient, spec Container) error {
	ctx, cancel := context.WithTimeout(ctx, building)
	defer cancel()
	reader, writer := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := spec.Root.Write(ctx, writer)
		writer.CloseWithError(err)
		written <- err
	}()
	err := importImage(ctx, docker, reader, spec)
	reader.CloseWithError(err)
	if cause := <-written; cause != nil {
		return cause
	}
	return err
}

func importImage(ctx context.Context, docker client.APIClient, root io.Reader, spec Container) error {
	answer, err := docker.ImageImport(ctx, client.ImageImportSource{Source: root, SourceName: "-"}, spec.Own, client.ImageImportOptions{
		Changes: []string{
			"ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8",
			"VOLUME " + spec.Root.Data,
			`ENTRYPOINT ["/entrypoint"]`,
		},
	})
	if err != nil {
		return fmt.Errorf("importing %s: %w", spec.Own, err)
	}
	defer answer.Close() //nolint:errcheck // it was read
	said, err := io.ReadAll(answer)
	if err != nil {
		return fmt.Errorf("importing %s: %w", spec.Own, err)
	}
	if present, err := has(ctx, docker, spec.Own); !present {
		return fmt.Errorf("importing %s: the engine says: %s: %w", spec.Own, bytes.TrimSpace(said), err)
	}
	return nil
}
