#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# linux_net.sh - two Linux guests and this host, on a bridge of two taps
#
# usage: linux_net.sh BUILD KERNEL INITRD FOLDER SECONDS [vhost]
#
# In a network namespace of its caller's, on a host whose KVM runs Linux. The
# host exchanges a file with the first guest, the second guest does so too and
# more (tests/initramfs/lib/net), while the first one's tap goes down and up.
# Consoles and logs are left in FOLDER; "HOST what result" lines are printed.
set -eu
build=$1 kernel=$2 initrd=$3 folder=$4 seconds=$5 vhost=${6:+,vhost}
PATH=$PATH:/usr/sbin:/sbin

# What stands still when the caller's patience is at its end.
trap 'ip -s link; bridge link; ip neigh; ss -tin; exit 1' TERM

ip link set lo up
ip link add br0 type bridge
ip addr add 10.1.0.1/24 dev br0
for i in 1 2; do
	ip tuntap add "t$i" mode tap
	ip link set "t$i" mtu 9000 master br0 up
done
ip link set br0 up

# guest NUMBER WORDS
guest()
{
	"$build/volt-vmm" --no-api --kernel "$kernel" --initrd "$initrd" \
		--memory 192 --metrics-path "$folder/metrics$1" \
		--net "tap=t$1,mac=06:00:00:00:00:0$1,mtu=9000$vhost" --cmdline \
		"console=ttyS0 quiet reboot=k panic=1 volt.quiet volt.run=net \
volt.end=reboot volt.ip=10.1.0.1$1 volt.mtu=9000 volt.seconds=$seconds $2" \
		</dev/null >"$folder/console$1" 2>"$folder/log$1" &
}

# await NUMBER TEXT: until it is on that console, or the guest has ended
await()
{
	tries=0
	until grep -q "$2" "$folder/console$1"; do
		tries=$((tries + 1))
		if [ $tries -gt 900 ] || ! kill -0 "$3" 2>/dev/null; then
			echo "HOST await-$1-$2 FAILED"
			exit 1
		fi
		sleep 0.1
	done
}

guest 1 ""
first=$!
trap 'kill "$first" 2>/dev/null || :' EXIT
guest 2 volt.peer=10.1.0.11
second=$!
trap 'kill "$first" "$second" 2>/dev/null || :' EXIT

await 2 "VOLT-NET under-load" "$second"
for _ in 1 2 3; do
	ip link set t1 down
	sleep 0.2
	ip link set t1 up
	sleep 0.3
done
wait "$second"

head -c 1000000 /dev/urandom >"$folder/sent"
mkfifo "$folder/quiet" # an input that never ends: nc ends with its first end
exec 9<>"$folder/quiet"
busybox nc 10.1.0.11 5001 <"$folder/sent"
until busybox nc 10.1.0.11 5002 <&9 >"$folder/back"; do
	sleep 0.1
done
cmp "$folder/sent" "$folder/back" && echo "HOST transfer ok"
busybox nc 10.1.0.11 9 </dev/null
wait "$first" && echo "HOST end ok"
trap - EXIT
