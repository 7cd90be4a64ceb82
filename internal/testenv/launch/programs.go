package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// findPrograms returns the directory of the newest programs, which it installs if there are none and it may.
func findPrograms(ctx context.Context, spec Process, report func(string, ...any)) (string, error) {
	missing := fmt.Errorf("found no directory with the programs %v: not as %v, nor on the PATH", spec.Programs, spec.Dirs)
	if dir, ok := programs(ctx, spec); ok {
		return dir, nil
	}
	if len(spec.Packages) == 0 || os.Getuid() != 0 {
		return "", fmt.Errorf("%w; only root can install them", missing)
	}
	report("installing %v", spec.Packages)
	if err := install(ctx, spec.Packages); err != nil {
		return "", errors.Join(missing, err)
	}
	if dir, ok := programs(ctx, spec); ok {
		return dir, nil
	}
	return "", fmt.Errorf("%w, even after installing %v", missing, spec.Packages)
}

// programs returns the first directory that has all programs.
func programs(ctx context.Context, spec Process) (string, bool) {
	var dirs []string
	for _, pattern := range spec.Dirs {
		found, err := filepath.Glob(pattern)
		if err == nil {
			slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
			dirs = append(dirs, found...)
		}
	}
	for _, command := range spec.Asked {
		if said, err := exec.CommandContext(ctx, command[0], command[1:]...).Output(); err == nil {
			dirs = append(dirs, strings.TrimSpace(string(said)))
		}
	}
	dirs = append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
	for _, dir := range dirs {
		if hasAll(dir, spec.Programs) {
			return dir, true
		}
	}
	return "", false
}

// chosenPrograms returns the directory that the environment names, or none if it names none.
func chosenPrograms(product Product) (string, error) {
	variable := product.Variable + "_PROGRAMS"
	dir := os.Getenv(variable)
	if dir != "" && !hasAll(dir, product.Process.Programs) {
		return "", fmt.Errorf("%s=%s: it does not have the programs %v", variable, dir, product.Process.Programs)
	}
	return dir, nil
}

// hasAll reports whether a directory has all of some programs.
func hasAll(dir string, programs []string) bool {
	return !slices.ContainsFunc(programs, func(program string) bool {
		_, err := exec.LookPath(filepath.Join(dir, program))
		return err != nil
	})
}

// version returns the number that is an element of path, as in /usr/lib/postgresql/17/bin.
func version(path string) int {
	for element := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if number, err := strconv.Atoi(element); err == nil {
			return number
		}
	}
	return 0
}

// install installs Debian packages, without a server that starts by itself. One process does so at a time.
func install(ctx context.Context, packages []string) error {
	const script = `set -e
		exec 9>/tmp/necrostack-install.lock
		flock 9
		policy=/usr/sbin/policy-rc.d
		if [ ! -e $policy ]; then
			trap "rm -f $policy" EXIT
			printf '#!/bin/sh\nexit 101\n' >$policy
			chmod +x $policy
		fi
		mkdir -p /etc/postgresql-common
		[ -e /etc/postgresql-common/createcluster.conf ] ||
			echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
		apt-get -qq update
		apt-get -qq install --yes --no-install-recommends \
			-o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$@" </dev/null 9>&-`
	apt := exec.CommandContext(ctx, "sh", append([]string{"-c", script, "install"}, packages...)...)
	apt.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if said, err := apt.CombinedOutput(); err != nil {
		return fmt.Errorf("installing %v: %w: %s", packages, err, lastLines(string(said)))
	}
	return nil
}
