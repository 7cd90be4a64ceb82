// Package images makes the container images of servers out of Debian packages, for machines that reach no registry.
package images

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed *.sh
var scripts embed.FS

// A Root is the root file system of an image.
type Root struct {
	Suite      string   // of Debian, as in "trixie": its mirror is the one that the machine's own packages come from
	Packages   []string // with what they depend on, as far as the server's process needs it
	User       string   // runs the server, as number 999
	Data       string   // the directory of the server's data, which belongs to that user
	Entrypoint string   // one of this package's scripts; it becomes /entrypoint
}

// Write writes the file system to out as a tar archive. It needs root on Debian, apt and about a minute, and leaves
// nothing behind. Its error holds what the tools had to say.
func (r Root) Write(ctx context.Context, out io.Writer) error {
	if os.Getuid() != 0 {
		return errors.New("building an image needs root")
	}
	for _, tool := range []string{"bash", "apt-get", "dpkg-deb", "tar"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("building an image needs a Debian machine: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "necrostack-image-*")
	if err != nil {
		return fmt.Errorf("building an image: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what a full disk leaves in a temporary directory is not worth a build
	if err := os.CopyFS(dir, scripts); err != nil {
		return fmt.Errorf("building an image: %w", err)
	}
	args := append([]string{filepath.Join(dir, "root.sh"), r.Suite, r.User, r.Data, r.Entrypoint}, r.Packages...)
	build := exec.CommandContext(ctx, "bash", args...)
	build.WaitDelay = time.Second
	var said bytes.Buffer
	build.Dir, build.Stdout, build.Stderr = dir, out, &said
	if err := build.Run(); err != nil {
		return fmt.Errorf("building an image of %s: %w: %s", strings.Join(r.Packages, ", "), err, last(said.String(), 5))
	}
	return nil
}

// last returns the last n lines of text.
func last(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
