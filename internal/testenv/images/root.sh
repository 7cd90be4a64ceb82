#!/usr/bin/env bash
# Writes the root file system of a server's image to standard output, as a tar archive. apt says which packages it
# takes, dpkg-deb unpacks them, and no package's own script runs. Needs root: it calls chown and ldconfig -r.
# usage: root.sh SUITE USER DATA ENTRYPOINT PACKAGE...
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
suite=$1 user=$2 data=$3 entrypoint=$4
shift 4

# Lists and packages of the suite, beside the machine's own and from the same mirror.
apt=$here/apt
mkdir -p "$apt"/{lists/partial,cache/archives/partial,sources}
. /etc/os-release
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
	if [[ -s $file ]]; then
		sed "s/\b$VERSION_CODENAME\b/$suite/g" "$file" >"$apt/sources/${file##*/}"
	fi
done
if [[ -s $apt/sources/sources.list ]]; then
	mv "$apt/sources/sources.list" "$apt/sources/machine.list"
fi
cat >"$apt/conf" <<-CONF
	Dir::State::status "/dev/null";
	Dir::State::Lists "$apt/lists";
	Dir::Cache "$apt/cache";
	Dir::Etc::sourcelist "/dev/null";
	Dir::Etc::sourceparts "$apt/sources";
	APT::Install-Recommends "false";
	APT::Sandbox::User "root";
	Acquire::Languages "none";
CONF
export APT_CONFIG=$apt/conf
apt-get -qq update >&2

# What packages depend on and no server's process loads: the compiler behind JIT (130 MB), perl and what needs it,
# accounts, services and the package manager itself.
needless='^(libllvm|libz3|perl|libperl|postgresql-common|postgresql-client-common|ssl-cert|openssl$|adduser|passwd|login'
needless+='|libpam-|debconf|dpkg$|tar$|lsb-base|init-system|procps|libproc|ucf|sensible-utils|logrotate|cron|libpopt'
needless+='|libjson-perl|libipc|libio-pty|netbase|libgdbm|libdb5|mount|util-linux|libsemanage|gcc-.*-base)'
mkdir "$here/debs"
cd "$here/debs"
apt-get -s install "$@" bash coreutils base-files libc-bin tzdata | awk '/^Inst/ { print $2 }' | grep -Ev "$needless" |
	xargs apt-get -qq download >&2

root=$here/root
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{etc,proc,sys,dev,run,tmp,root,var}
for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
ln -s /run "$root/var/run"
chmod 1777 "$root/tmp"
for deb in *.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
		--exclude='./usr/share/'{doc,man,locale,i18n,info,lintian,bug} --exclude='./lib/systemd' \
		--exclude='./usr/lib/systemd' --exclude='*/bitcode' --exclude='*/llvmjit*' --exclude='*/gconv'
done
ln -sf bash "$root/usr/bin/sh"
ldconfig -r "$root"

printf '%s\n' 'root:x:0:0::/root:/bin/sh' "$user:x:999:999::$data:/bin/sh" >"$root/etc/passwd"
printf '%s\n' 'root:x:0:' "$user:x:999:" >"$root/etc/group"
install -d -o 999 -g 999 -m 700 "$root$data"
install -m 755 "$here/$entrypoint" "$root/entrypoint"
tar -C "$root" -c .
