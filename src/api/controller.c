// SPDX-License-Identifier: Apache-2.0
/*
 * controller.c - what requests act on, from the start of the process to its end
 */
#include "api/resource.h"

#include "base/fd.h"
#include "base/log.h"

/* While the VM is paused its metrics stand still. */
static void on_flush(struct timer *timer)
{
	struct api *api = container_of(timer, struct api, flush);

	if (api->vm->state == VM_RUNNING)
		metrics_write(api->metrics);
}

struct api *api_new(struct vm *vm, struct metrics *metrics,
		    const struct api_settings *settings)
{
	struct api *api = calloc(1, sizeof(*api));

	if (!api)
		return NULL;
	api->vm = vm;
	api->metrics = metrics;
	api->settings = *settings;
	api->gate.src.fd = -1;
	timer_init(&api->flush, vm->loop, on_flush);
	if (metrics_init(metrics) < 0 || api_counters_declare(api) < 0) {
		metrics_fini(metrics);
		free(api);
		return NULL;
	}
	return api;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	timer_stop(&api->flush);
	metrics_write(api->metrics);
	metrics_fini(api->metrics);
	log_settings.module = NULL;
	free(api->log_module);
	free(api);
}
