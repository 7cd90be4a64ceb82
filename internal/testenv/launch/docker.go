package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/log"
)

// A vessel is a server's life in a container.
type vessel struct {
	docker    client.APIClient
	container testcontainers.Container
	product   Product
	place     Place
	release   func() // of the deadman
}

// SmallDisk is a directory in every container: a file system of its own, of 64 MiB, that anybody may write to.
const SmallDisk = "/small"

// beginContainer creates a container for a server.
func beginContainer(ctx context.Context, product Product, report func(string, ...any), plan plan) (life, error) {
	provider, err := engine(ctx)
	if err != nil {
		return nil, err
	}
	image, err := findImage(ctx, provider.Client(), product, report)
	if err != nil {
		return nil, err
	}
	name := "necrostack-" + product.Name + "-" + plan.port + "-" + strconv.Itoa(os.Getpid())
	release, err := RemoveOrphan(name)
	if err != nil {
		return nil, err
	}
	place := product.Container.place(plan)
	created, err := provider.CreateContainer(ctx, request(product, plan, place, name, image))
	if err != nil {
		release()
		return nil, fmt.Errorf("creating a container of %s: %w", image, err)
	}
	return vessel{docker: provider.Client(), container: created, product: product, place: place, release: release}, nil
}

// request asks for a container of a server. The product's files in it belong to root; the image's entrypoint hands them
// to the server's user.
func request(product Product, plan plan, place Place, name, image string) testcontainers.ContainerRequest {
	spec := product.Container
	request := testcontainers.ContainerRequest{
		Name:           name,
		Image:          image,
		Cmd:            spec.Command,
		ConfigModifier: func(config *container.Config) { config.StopSignal = "SIGINT" },
		HostConfigModifier: func(config *container.HostConfig) {
			config.Tmpfs = map[string]string{SmallDisk: "size=64m,mode=1777"}
			if spec.Host {
				config.NetworkMode = network.NetworkHost
				return
			}
			bound := network.PortBinding{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: plan.port}
			config.PortBindings = network.PortMap{network.MustParsePort(spec.Port): {bound}}
		},
	}
	if !spec.Host {
		request.ExposedPorts = []string{spec.Port}
	}
	if spec.Env != nil {
		request.Env = spec.Env(plan.password)
	}
	if product.Files != nil {
		for name, text := range product.Files(place) {
			request.Files = append(request.Files, testcontainers.ContainerFile{
				Reader: strings.NewReader(text), ContainerFilePath: place.Data + "/" + name, FileMode: 0o600,
			})
		}
	}
	return request
}

// settle decides for testcontainers what the environment leaves open, before it looks there, and silences it: no
// container watches over others (the deadman does, and needs no image), the containers' ports are looked for where they
// are bound, and tests tell what matters of all that.
var settle = sync.OnceValue(func() error {
	log.SetDefault(log.NewNoopLogger())
	defaults := [][2]string{{"TESTCONTAINERS_RYUK_DISABLED", "true"}, {"TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1"}}
	for _, variable := range defaults {
		if _, set := os.LookupEnv(variable[0]); set {
			continue
		}
		if err := os.Setenv(variable[0], variable[1]); err != nil {
			return err
		}
	}
	return nil
})

// engine returns a Docker engine that answers.
func engine(ctx context.Context) (*testcontainers.DockerProvider, error) {
	if err := settle(); err != nil {
		return nil, err
	}
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(log.NewNoopLogger()))
	if err != nil {
		return nil, err
	}
	if _, err := provider.Client().Ping(ctx, client.PingOptions{}); err != nil {
		return nil, fmt.Errorf("the engine does not answer: %w", err)
	}
	return provider, nil
}

func (v vessel) start(ctx context.Context) error { return v.container.Start(ctx) }

func (v vessel) stop(ctx context.Context) error {
	if err := v.thaw(ctx); err != nil {
		return err
	}
	return v.container.Stop(ctx, nil)
}

func (v vessel) kill(ctx context.Context) error {
	if err := v.thaw(ctx); err != nil {
		return err
	}
	if _, err := v.docker.ContainerKill(ctx, v.id(), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		return err
	}
	gone := v.docker.ContainerWait(ctx, v.id(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-gone.Result:
		return nil
	case err := <-gone.Error:
		return err
	}
}

// thaw resumes the container if it is paused: an engine does not end it otherwise.
func (v vessel) thaw(ctx context.Context) error {
	state, err := v.container.State(ctx)
	if err != nil || !state.Paused {
		return err
	}
	return v.resume(ctx)
}

// pause asks again, for an engine gives up, and thaws what it has frozen so far, if the container is too busy.
func (v vessel) pause(ctx context.Context) error {
	for try := 1; ; try++ {
		_, err := v.docker.ContainerPause(ctx, v.id(), client.ContainerPauseOptions{})
		if err == nil || try == 20 || ctx.Err() != nil {
			return err
		}
	}
}

func (v vessel) resume(ctx context.Context) error {
	_, err := v.docker.ContainerUnpause(ctx, v.id(), client.ContainerUnpauseOptions{})
	return err
}

func (v vessel) pids(ctx context.Context) ([]int, error) {
	state, err := v.container.State(ctx)
	if err != nil {
		return nil, err
	}
	top, err := v.docker.ContainerTop(ctx, v.id(), client.ContainerTopOptions{})
	if err != nil {
		return nil, err
	}
	column := slices.Index(top.Titles, "PID")
	if column < 0 {
		return nil, fmt.Errorf("the engine lists %v of processes, and no PID", top.Titles)
	}
	pids := []int{state.Pid}
	for _, process := range top.Processes {
		pid, err := strconv.Atoi(process[column])
		if err != nil {
			return nil, err
		}
		if pid != state.Pid {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func (v vessel) remove(ctx context.Context) error {
	_, err := v.docker.ContainerRemove(ctx, v.id(), client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
	v.release()
	if errdefs.IsNotFound(err) {
		err = nil
	}
	return errors.Join(err, v.docker.Close())
}

func (v vessel) alive(ctx context.Context) bool {
	state, err := v.container.State(ctx)
	return err == nil && state.Running
}

func (v vessel) log(ctx context.Context) string {
	logs, err := v.container.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer logs.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(logs)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text))
}

// run finds programs where the product's may be, in case that they are not on the container's PATH.
func (v vessel) run(ctx context.Context, input []byte, command ...string) ([]byte, error) {
	const from = "/tmp/input"
	if err := v.container.CopyToContainer(ctx, input, from, 0o644); err != nil {
		return nil, err
	}
	script := "for dir in " + strings.Join(v.product.Process.Dirs, " ") + `; do PATH=$dir:$PATH; done; exec "$@" <` + from
	code, output, err := v.container.Exec(ctx, append([]string{"sh", "-c", script, "sh"}, command...), tcexec.Multiplexed())
	if err != nil {
		return nil, err
	}
	said, err := io.ReadAll(output)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s ended with %d: %s", command[0], code, lastLines(string(said)))
	}
	return said, err
}

func (v vessel) inside() string { return "127.0.0.1:" + v.place.Port }

func (v vessel) id() string { return v.container.GetContainerID() }

// lastLines returns what of a log tells why a server ended.
func lastLines(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
