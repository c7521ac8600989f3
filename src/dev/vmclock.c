// SPDX-License-Identifier: Apache-2.0
/*
 * vmclock.c - VMClock (theory of operation: vmclock.h)
 */
#include "dev/vmclock.h"

#include <errno.h>
#include <stddef.h>

#define MAGIC             0x4b4c4356u /* "VCLK" */
#define VERSION           1u
#define COUNTER_INVALID   0xffu
#define UPDATING          1u /* of seq_count */

#define FLAG_GENERATION   (1ull << 8) /* vm_generation_counter is there */
#define FLAG_NOTIFICATION (1ull << 9) /* an event follows each change */

/* Little-endian, as this machine is. What stays zero says "not known". */
struct vmclock_page {
	uint32_t magic;
	uint32_t size;
	uint16_t version;
	uint8_t counter_id;
	uint8_t time_type;
	uint32_t seq_count;
	uint64_t disruption_marker;
	uint64_t flags;
	uint8_t pad[2];
	uint8_t clock_status;
	uint8_t leap_second_smearing_hint;
	int16_t tai_offset_sec;
	uint8_t leap_indicator;
	uint8_t counter_period_shift;
	uint64_t counter_value;
	uint64_t counter_period[3];
	uint64_t time[4];
	uint64_t vm_generation_counter;
};
static_assert(sizeof(struct vmclock_page) == 112, "the guest's ABI");
static_assert(offsetof(struct vmclock_page, disruption_marker) == 16, "ABI");
static_assert(offsetof(struct vmclock_page, counter_value) == 40, "ABI");
static_assert(offsetof(struct vmclock_page, vm_generation_counter) == 104,
	      "ABI");

static int write_page(const struct vmclock *v, const struct vmclock_page *page,
		      struct err *err)
{
	if (gmem_write(v->mem, v->gpa, page, sizeof(*page)) < 0)
		return err_set(err, -EFAULT, "The VM clock is not in RAM");
	return 0;
}

int vmclock_start(const struct vmclock *v, struct err *err)
{
	const struct vmclock_page page = {
		.magic = MAGIC,
		.size = PAGE_SIZE,
		.version = VERSION,
		.counter_id = COUNTER_INVALID,
		.flags = FLAG_GENERATION | FLAG_NOTIFICATION,
	};

	return write_page(v, &page, err);
}

/* No vCPU runs: nobody sees the page half written. */
int vmclock_renew(const struct vmclock *v, struct err *err)
{
	struct vmclock_page page;

	if (gmem_read(v->mem, v->gpa, &page, sizeof(page)) < 0)
		return err_set(err, -EFAULT, "The VM clock is not in RAM");
	if (page.magic != MAGIC)
		return 0;
	page.disruption_marker++;
	page.vm_generation_counter++;
	page.seq_count = (page.seq_count | UPDATING) + 1;
	return write_page(v, &page, err);
}
