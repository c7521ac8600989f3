/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spin.c - guest: a CPU that never leaves KVM_RUN by itself
 *
 * Prints one line and loops with interrupts off: only a signal reaches the
 * thread. The loop sits above the print so that resuming it prints nothing.
 */
#include "guest.h"

void guest_main(void)
{
	volatile uint64_t turns = 0;

	print("spinning\n");
	for (;;)
		turns = turns + 1;
}
