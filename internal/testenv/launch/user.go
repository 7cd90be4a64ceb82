//go:build unix

package launch

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// asUser returns the attributes of a server's process: it runs in a process group of its own, and not as root but as
// the user of that name.
func asUser(name string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("who runs the server instead of root: %w", err)
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, nil
}

// deadman has a shell run script with args if this process ends, by whatever death, before it calls release. The shell
// waits for the end of a pipe that only this process can write to.
func deadman(script string, args ...string) (release func(), err error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	shell := exec.Command("sh", append([]string{"-c", "read -r _; " + script, "deadman"}, args...)...) //nolint:noctx // it outlives every context
	shell.Stdin = reader
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // no ^C ends it
	err = shell.Start()
	reader.Close() //nolint:errcheck // the shell has its own
	if err != nil {
		writer.Close() //nolint:errcheck // nobody reads it
		return nil, fmt.Errorf("starting the shell that cleans up: %w", err)
	}
	return func() {
		shell.Process.Kill() //nolint:errcheck // it has ended, then
		shell.Wait()         //nolint:errcheck // it was killed
		writer.Close()       //nolint:errcheck // nobody reads it
	}, nil
}
