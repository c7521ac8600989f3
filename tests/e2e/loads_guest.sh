# SPDX-License-Identifier: Apache-2.0
# loads_guest.sh - what the guest of test_linux_loads.py runs (volt.run=loads)
#
# Each load prints a line a round: "LOAD name round result". All write to
# memory only: the disk is mounted read-only.
# shellcheck shell=sh

root=/mnt
mkdir -p $root
mount -t ext4 -o ro /dev/vda $root
for dir in proc dev; do
	mount -o bind /$dir $root/$dir
done
mount -t tmpfs tmp $root/tmp

cat >$root/tmp/a.c <<'END'
#include <stdint.h>
#include <stdio.h>
static uint32_t table[256];
static uint32_t step(uint32_t x)
{
	for (int i = 0; i < 8; i++)
		x = x & 1 ? x >> 1 ^ 0xedb88320u : x >> 1;
	return x;
}
int main(void)
{
	uint32_t sum = 0;
	for (uint32_t i = 0; i < 256; i++)
		table[i] = step(i);
	for (int i = 0; i < 256; i++)
		sum = sum * 31 + table[i];
	printf("%08x\n", sum);
	return 0;
}
END
cat >$root/tmp/load.py <<'END'
import os
warm = {i: i * 2654435761 % 2**32 for i in range(100000)}
x = 1
n = 0
while True:
    n += 1
    for i in range(20000):
        x = (x * 1664525 + warm[(x + i) % 100000]) % 2**32
    os.write(1, b"LOAD python %d %08x\n" % (n, x))
END
cat >$root/tmp/load.js <<'END'
const warm = new Uint32Array(100000);
for (let i = 0; i < 100000; i++)
	warm[i] = Math.imul(i, 2654435761) >>> 0;
let x = 1;
for (let n = 1;; n++) {
	for (let i = 0; i < 20000; i++)
		x = (Math.imul(x, 1664525) + warm[(x + i) % 100000]) >>> 0;
	require("fs").writeSync(1, "LOAD node " + n + " " +
		x.toString(16).padStart(8, "0") + "\n");
}
END

cat >$root/tmp/database <<'END'
echo "CREATE TABLE t (v INTEGER PRIMARY KEY, s TEXT);
CREATE TABLE total (n INTEGER); INSERT INTO total VALUES (0);"
n=0
while :; do
	n=$((n + 1))
	echo "BEGIN; INSERT INTO t VALUES ($n, hex(randomblob(400)));
UPDATE total SET n = n + $n; COMMIT;"
	[ $((n % 20)) != 0 ] || sleep 0.2
	[ $((n % 20)) != 0 ] || echo "SELECT 'LOAD database ' || $n || ' ' ||
(SELECT n FROM total) || ' ' || (SELECT sum(v) FROM t) || ' ' ||
(SELECT count(*) FROM t WHERE length(s) = 800) || ' ' ||
(SELECT * FROM pragma_integrity_check);"
done
END

chroot $root sh -c 'sh /tmp/database | sqlite3 -batch /tmp/db' &
chroot $root python3 /tmp/load.py &
chroot $root node --single-threaded /tmp/load.js &
n=0
while :; do
	n=$((n + 1))
	sum=$(chroot $root sh -c 'gcc -O2 -c -o /tmp/a.o /tmp/a.c &&
		gcc -o /tmp/a /tmp/a.o && md5sum </tmp/a.o && /tmp/a')
	# shellcheck disable=SC2086 # words on one line
	echo LOAD compiler $n $sum
done
