// SPDX-License-Identifier: Apache-2.0
/*
 * kind.c - what a store holds: kernels or images
 */
#include "store/kind.h"

const struct store_kind store_kernels = {
	.noun = "kernel",
	.title = "Kernel",
	.folder = "kernels",
	.env = "VOLT_STORE",
	.has_default = true,
};

const struct store_kind store_images = {
	.noun = "image",
	.title = "Image",
	.folder = "images",
	.env = "VOLT_IMAGES",
	.references = true,
	.images = true,
};
