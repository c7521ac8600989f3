// SPDX-License-Identifier: Apache-2.0
/*
 * resources.c - the API's resources, from their list in resource.h
 */
#include "api/resource.h"

#define RESOURCE_POINTER(name_) &api_##name_,

const struct api_resource *const api_resources[API_NR_RESOURCES] = {
	API_RESOURCES(RESOURCE_POINTER)};
