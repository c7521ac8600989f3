// SPDX-License-Identifier: Apache-2.0
/*
 * schema_free.c - what decoding allocated (schema.h)
 */
#include "base/schema_priv.h"

#include <stdlib.h>

static void free_list(const struct schema_field *field,
		      struct schema_list *list)
{
	struct schema_pair *pairs = list->items;

	for (size_t i = 0; i < list->nr; i++) {
		if (field->type == SCHEMA_MAP) {
			free(pairs[i].key);
			free(pairs[i].value);
		} else {
			schema_free_value(field->item->field,
					  (char *)list->items +
						  i * field->item->size);
		}
	}
	free(list->items);
	*list = (struct schema_list){0};
}

void schema_free_value(const struct schema_field *field, void *value)
{
	switch (field->type) {
	case SCHEMA_STRING:
		free(*(char **)value);
		*(char **)value = NULL;
		break;
	case SCHEMA_OBJECT:
		schema_free(field->object, value);
		break;
	case SCHEMA_LIST:
	case SCHEMA_MAP:
		free_list(field, value);
		break;
	default:
		break;
	}
}

void schema_free(const struct schema_object *object, void *base)
{
	for (size_t i = 0; i < object->nr; i++)
		schema_free_value(&object->fields[i],
				  (char *)base + object->fields[i].offset);
}
