# SPDX-License-Identifier: Apache-2.0
# guest.sh - boots Linux in Volt where it can: on this host, or in the lab
# Sourced by tools/demo and tools/shell.
# shellcheck shell=sh

tree=$(cd "$here/.." && pwd)
build=${VOLT_BUILD:-$tree/build}
case $build in
/*) ;;
*) build=$PWD/$build ;;
esac

# built NAME: the program NAME of the build directory.
built()
{
	for path in "$build/$1" "$build"/src/*/"$1"; do
		if [ -x "$path" ]; then
			echo "$path"
			return
		fi
	done
	echo "$(basename "$0"): $build has no $1: run make first" >&2
	exit 1
}

# What this host's KVM runs: linux, bare-metal or none; and doctor's sentence.
ask_doctor()
{
	vmm=$(built volt-vmm)
	volt=$(built volt)
	# doctor's exit code says the same as what it prints.
	facts=$("$volt" doctor --json || true)
	guests=$(doctor_fact guests)
	verdict=$(doctor_fact verdict)
	[ -n "$guests" ] || {
		echo "volt doctor gave no answer" >&2
		exit 1
	}
}

doctor_fact()
{
	echo "$facts" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# on_linux_kvm COMMAND...: where KVM runs Linux.
on_linux_kvm()
{
	if [ "$guests" = linux ]; then
		"$@"
	else
		"$tree/tests/lab/run" "$@"
	fi
}

# boot_linux END CMDLINE FLAG...: Debian's kernel with our initramfs.
boot_linux()
{
	end=$1
	cmdline=$2
	shift 2
	on_linux_kvm "$vmm" --no-api --kernel "$kernel" --initrd "$initrd" \
		--cpus "${VOLT_CPUS:-2}" --memory "${VOLT_MEMORY:-512}" \
		--cmdline "console=ttyS0 reboot=k panic=-1 i8042.noaux \
i8042.nomux i8042.dumbkbd pci=off $cmdline volt.quiet volt.end=$end" "$@"
}

# Debian's kernel, by name in this user's store, and the initramfs of the tests.
get_guest()
{
	"$volt" kernel path debian >/dev/null 2>&1 ||
		"$volt" kernel add --package linux-image-cloud-amd64 \
			--name debian --replace >&2
	kernel=$("$volt" kernel path debian)
	release=$("$volt" kernel info debian |
		sed -n 's/^version *Linux version \([^ ]*\).*/\1/p')
	initrd=$("$tree/tests/initramfs/build")
}
