// SPDX-License-Identifier: Apache-2.0
/*
 * resources.c - the one list of the API's resources
 *
 * The order is that in which a config file is applied: the logger first, so
 * that what goes wrong after it is in the log; what refers to another resource
 * after it.
 */
#include "api/resource.h"

const struct api_resource *const api_resources[] = {
	&api_logger,     &api_metrics,        &api_machine_config,
	&api_cpu_config, &api_boot_source,    &api_serial,
	&api_drives,     &api_pmem,           &api_network,
	&api_vsock,      &api_mmds,           &api_entropy,
	&api_balloon,    &api_memory_hotplug, &api_snapshot,
	&api_instance,   &api_vm_config,      &api_actions,
	&api_vm_state,   &api_sandbox,        &api_memory,
};
const size_t api_nr_resources = ARRAY_SIZE(api_resources);
