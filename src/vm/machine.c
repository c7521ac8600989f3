// SPDX-License-Identifier: Apache-2.0
/*
 * machine.c - the machine, put together (theory of operation: machine.h)
 */
#include "vm/machine.h"

#include "base/fd.h"
#include "base/pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Keep what snapshots record of the host. */
static void know_host(struct machine *m)
{
	const struct handover *host = m->board.env.host;

	m->pagemap = host->pagemap;
	(void)snprintf(m->boot_id, sizeof(m->boot_id), "%s", host->boot_id);
	snapshot_kernel_name(m->kernel);
}

static int add_counters(struct machine *m, struct err *err)
{
	struct metrics *metrics = m->board.env.metrics;
	int r = metrics_add(metrics, &vcpu_metric_group, NULL,
			    &m->exits.counters);

	if (r == 0)
		r = metrics_add(metrics, &interrupts_metric_group, NULL,
				&m->interrupts.metrics);
	return r < 0 ? err_set(err, r, "Out of memory") : 0;
}

static void connect_parts(struct machine *m)
{
	m->interrupts.kvm_vm = &m->board.kvm_vm;
	m->interrupts.slots = &m->slots;
	slots_init(&m->slots, &m->board, &m->interrupts.metrics.triggers);
	m->chipset.board = &m->board;
	m->chipset.interrupts = &m->interrupts;
	m->chipset.slots = &m->slots;
	m->exits.board = &m->board;
	m->exits.interrupts = &m->interrupts;
	vcpus_init(&m->vcpus, &m->exits);
}

int machine_new(struct machine **out, const struct vm_env *env, struct err *err)
{
	struct machine *m = pages_new(
		sizeof(*m), offsetof(struct machine, chipset.console.held));
	int r;

	if (!m)
		return err_set(err, -ENOMEM, "Out of memory");
	board_init(&m->board, env);
	connect_parts(m);
	know_host(m);
	r = add_counters(m, err);
	if (r < 0)
		machine_free(m);
	else
		*out = m;
	return r;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	vcpus_stop(&m->vcpus);
	pager_stop(&m->board.pager); /* releases threads blocked on a missing
					page */
	vcpus_fini(&m->vcpus);
	metrics_remove(m->board.env.metrics, &m->exits.counters);
	metrics_remove(m->board.env.metrics, &m->interrupts.metrics);
	chipset_fini(&m->chipset);
	kvm_vm_fini(&m->board.kvm_vm);
	kvm_close(&m->board.kvm);
	gmem_fini(&m->board.mem);
	pager_fini(&m->board.pager);
	pages_free(m, sizeof(*m));
}

int machine_send_ctrl_alt_del(struct machine *m, struct err *err)
{
	int r = i8042_send_ctrl_alt_del(&m->chipset.i8042);

	if (r < 0)
		return err_set(err, r,
			       "The guest has not read the keys sent before");
	return 0;
}
