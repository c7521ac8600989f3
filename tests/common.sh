# SPDX-License-Identifier: Apache-2.0
# common.sh - where the cache is, and Debian packages without root
# Sourced by the scripts that make kernels, images and the lab; $here is theirs.
# shellcheck shell=sh

umask 022
cache=${VOLT_CACHE:-${XDG_CACHE_HOME:-${HOME:?neither VOLT_CACHE nor HOME is set}/.cache}/volt}
case $cache in
/*) ;;
*) cache=$PWD/$cache ;;
esac
mkdir -p "$cache"

self=$(basename "$0")

die()
{
	echo "$self: $*" >&2
	exit 1
}

say()
{
	echo "$self: $*" >&2
}

# need PROGRAM PACKAGE...: names the Debian package of each missing program.
need()
{
	missing=
	while [ $# -gt 1 ]; do
		command -v "$1" >/dev/null 2>&1 ||
			[ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] ||
			missing="$missing $2"
		shift 2
	done
	[ -z "$missing" ] || die "missing:$missing (apt-get install$missing)"
}

# built NAME: the program NAME of the build directory.
built()
{
	for dir in "${VOLT_BUILD:-}" "$here/../build" "$here/../../build"; do
		if [ -n "$dir" ] && [ -x "$dir/$1" ]; then
			echo "$(cd "$dir" && pwd)/$1"
			return
		fi
	done
	die "there is no $1: run make first"
}

# lock NAME: holds the cache's lock NAME until the script ends, so that two
# callers that need one result make it once. Children that outlive the script
# must close fd 9, or all others wait for an hour.
lock()
{
	exec 9>"$cache/$1.lock"
	flock -n 9 || {
		say "waiting for another $self"
		flock -w 3600 9 || die "the other $self does not end: $cache/$1.lock"
	}
}

# debian_mirrors: where to look for a suite that the machine's own package lists
# do not have: where these come from, and Debian's.
debian_mirrors()
{
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	{
		apt-get update --print-uris 2>/dev/null |
			sed -n "s|^'\(.*\)/dists/$codename/InRelease' .*|\1|p"
		echo http://deb.debian.org/debian
	} | awk '!seen[$0]++'
}

# open_suites SUITE...: makes suite_apt see these Debian suites and no others,
# the last one preferred, as a machine on which nothing is installed: what it
# would install is all that a program needs. Debian's signatures are checked
# with the keys that this machine has. arch: of another architecture than amd64.
# A machine without a network finds out within a minute or two. Fails when no
# mirror has all of them; apt.out says why.
open_suites()
{
	mkdir -p suites/lists/partial suites/archives/partial
	: >suites/status
	for preferred in "$@"; do :; done
	cat >suites/apt.conf <<-EOF
		Dir::Etc::SourceList "$PWD/suites/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		Dir::State "$PWD/suites";
		Dir::State::status "$PWD/suites/status";
		Dir::Cache "$PWD/suites";
		APT::Architecture "${arch:-amd64}";
		APT::Architectures { "${arch:-amd64}"; };
		APT::Default-Release "$preferred";
		APT::Sandbox::User "";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
		Acquire::Retries "1";
		Acquire::http::Timeout "10";
		Acquire::https::Timeout "10";
		Debug::NoLocking "true";
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Post-Invoke;
	EOF
	keys=/usr/share/keyrings/debian-archive-keyring # .pgp in later ones
	for keyring in $keys.gpg $keys.pgp ''; do
		[ ! -e "$keyring" ] || break
	done
	for mirror in $(debian_mirrors); do
		for suite in "$@"; do
			echo "deb [target=Packages${keyring:+ signed-by=$keyring}]" \
				"$mirror $suite main"
		done >suites/sources.list
		suite_apt apt-get -qq update >apt.out 2>&1 && return
	done
	return 1
}

suite_apt()
{
	"$@" -c "$PWD/suites/apt.conf"
}
