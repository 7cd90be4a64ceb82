//go:build unix

package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

func (h *host) kill(ctx context.Context) error {
	if !h.alive(ctx) {
		return errors.New("it does not run")
	}
	pids, err := h.freeze(ctx) // so that no child is born unseen
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := signal(pid, syscall.SIGKILL); err != nil {
			return err
		}
	}
	<-h.gone
	for _, pid := range pids[1:] {
		for running(ctx, pid) {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return fmt.Errorf("process %d did not end: %w", pid, context.Cause(ctx))
			}
		}
	}
	return h.note(nil)
}

// running reports whether a process can still do anything: one that ended stays known until its parent asks for it.
func running(ctx context.Context, pid int) bool {
	found, err := process.NewProcessWithContext(ctx, int32(pid))
	if err != nil {
		return false
	}
	status, err := found.StatusWithContext(ctx)
	return err == nil && !slices.Contains(status, process.Zombie)
}

func (h *host) pause(ctx context.Context) error {
	pids, err := h.freeze(ctx)
	return errors.Join(err, h.note(pids)) // whoever is frozen does not notice that its parent dies
}

func (h *host) resume(ctx context.Context) error {
	pids, err := h.pids(ctx)
	for _, pid := range slices.Backward(pids) {
		err = errors.Join(err, signal(pid, syscall.SIGCONT))
	}
	return err
}

// freeze stops the server and then its children, of which there can be no more by then.
func (h *host) freeze(ctx context.Context) ([]int, error) {
	if !h.alive(ctx) {
		return nil, errors.New("it does not run")
	}
	if err := signal(h.server.Process.Pid, syscall.SIGSTOP); err != nil {
		return nil, err
	}
	pids, err := h.pids(ctx)
	for _, pid := range pids {
		err = errors.Join(err, signal(pid, syscall.SIGSTOP))
	}
	return pids, err
}

// signal sends a signal to a process that may have ended by itself.
func signal(pid int, signal syscall.Signal) error {
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}

func (h *host) pids(ctx context.Context) ([]int, error) {
	if !h.alive(ctx) {
		return nil, errors.New("it does not run")
	}
	pids := []int{h.server.Process.Pid}
	processes, err := process.ProcessesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	for _, other := range processes {
		if parent, err := other.PpidWithContext(ctx); err == nil && int(parent) == pids[0] {
			pids = append(pids, int(other.Pid))
		}
	}
	return pids, nil
}
