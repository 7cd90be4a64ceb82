//go:build unix

package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A host is a server's life as processes of this machine. All its files are in one temporary directory: data, log,
// and pids, the processes that the deadman kills.
type host struct {
	product Product
	plan    plan
	bin     string // the directory of the programs
	dir     string
	attr    *syscall.SysProcAttr
	release func() // of the deadman

	server *exec.Cmd     // nil before the first start
	gone   chan struct{} // closed when the server's own process has ended
}

// beginProcess prepares a data directory for a server.
func beginProcess(ctx context.Context, product Product, report func(string, ...any), plan plan) (life, error) {
	bin, err := chosenPrograms(product)
	if bin == "" && err == nil {
		bin, err = findPrograms(ctx, product.Process, report)
	}
	if err != nil {
		return nil, err
	}
	attr, err := asUser(product.Process.User)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "necrostack-"+product.Name+"-*")
	if err != nil {
		return nil, err
	}
	release, err := deadman(`kill -KILL $(cat "$1/pids"); sleep 0.1; rm -rf "$1"`, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	h := &host{product: product, plan: plan, bin: bin, dir: dir, attr: attr, release: release}
	if err := h.prepare(ctx); err != nil {
		return nil, errors.Join(err, h.remove(ctx))
	}
	return h, nil
}

// prepare fills the data directory.
func (h *host) prepare(ctx context.Context) error {
	password := h.path("password")
	if err := os.WriteFile(password, []byte(h.plan.password+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(h.path("data"), 0o700); err != nil {
		return err
	}
	paths := []string{h.dir, password, h.path("data")}
	if files := h.product.Files; files != nil {
		place := Place{Data: h.path("data"), Host: "127.0.0.1", Port: h.plan.port, Password: h.plan.password}
		for name, text := range files(place) {
			path := filepath.Join(h.path("data"), name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return err
			}
			paths = append(paths, path)
		}
	}
	if user := h.attr.Credential; user != nil {
		for _, path := range paths {
			if err := os.Chown(path, int(user.Uid), int(user.Gid)); err != nil {
				return err
			}
		}
	}
	if h.product.Process.Init == nil {
		return os.Remove(password)
	}
	command := h.product.Process.Init(h.path("data"), password)
	if said, err := h.command(ctx, command).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", command[0], err, lastLines(string(said)))
	}
	return os.Remove(password)
}

// command returns a command of the product. It is its own process group, so that a ^C at the terminal ends the tests
// and not their servers first, and it knows nothing of what the environment says of other servers.
func (h *host) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, args[0]), args[1:]...)
	cmd.SysProcAttr = h.attr
	cmd.Dir, cmd.Env = h.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "LC_ALL=C"}
	return cmd
}

func (h *host) start(ctx context.Context) error {
	log, err := os.OpenFile(h.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the server has it open
	// The server outlives the call that starts it.
	server := h.command(context.WithoutCancel(ctx), h.product.Process.Serve(h.path("data"), h.plan.port))
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		server.Wait() //nolint:errcheck // how it ended is in its log
	}()
	h.server, h.gone = server, gone
	return h.note([]int{server.Process.Pid})
}

// note tells the deadman which processes there are.
func (h *host) note(pids []int) error {
	return os.WriteFile(h.path("pids"), []byte(strings.Trim(fmt.Sprint(pids), "[]")), 0o600)
}

func (h *host) stop(ctx context.Context) error {
	if !h.alive(ctx) {
		return nil
	}
	if err := h.resume(ctx); err != nil {
		return err
	}
	if err := h.server.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-h.gone:
		return h.note(nil)
	case <-ctx.Done():
		return fmt.Errorf("it did not end: %w", context.Cause(ctx))
	}
}

func (h *host) remove(ctx context.Context) error {
	var err error
	if h.alive(ctx) {
		err = h.kill(ctx)
	}
	err = errors.Join(err, os.RemoveAll(h.dir))
	h.release()
	return err
}

func (h *host) alive(context.Context) bool {
	if h.server == nil {
		return false
	}
	select {
	case <-h.gone:
		return false
	default:
		return true
	}
}

func (h *host) log(context.Context) string {
	text, err := os.ReadFile(h.path("log"))
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text))
}

func (h *host) run(ctx context.Context, input []byte, command ...string) ([]byte, error) {
	program := h.command(ctx, command)
	var said bytes.Buffer
	program.Stdin, program.Stderr = bytes.NewReader(input), &said
	output, err := program.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", command[0], err, lastLines(said.String()))
	}
	return output, err
}

func (h *host) inside() string { return h.plan.addr }

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }
