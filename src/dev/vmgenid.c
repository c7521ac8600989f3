// SPDX-License-Identifier: Apache-2.0
/*
 * vmgenid.c - VM generation ID (theory of operation: vmgenid.h)
 */
#include "dev/vmgenid.h"

#include <errno.h>
#include <sys/random.h>

static int write_id(const struct vmgenid *v, struct err *err)
{
	uint8_t id[VMGENID_BYTES];

	/* So few bytes come whole, or not at all. */
	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return err_set(err, -errno, "No random VM generation ID: %s",
			       err_name(errno));
	if (gmem_write(v->mem, v->gpa, id, sizeof(id)) < 0)
		return err_set(err, -EFAULT,
			       "The VM generation ID is not in RAM");
	return 0;
}

int vmgenid_init(struct vmgenid *v, const struct gmem *mem, gpa_t gpa,
		 const struct irq_line *irq, struct err *err)
{
	*v = (struct vmgenid){.mem = mem, .gpa = gpa, .irq = *irq};
	return write_id(v, err);
}

int vmgenid_renew(struct vmgenid *v, struct err *err)
{
	int r = write_id(v, err);

	if (r == 0)
		irq_line_pulse(&v->irq);
	return r;
}
