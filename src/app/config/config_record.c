/* Records of the configuration as a whole: their defaults, their lists, their end. */
#include "app/config/config_room.h"

#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* Of one line. The table's own values are right: what can go wrong is memory. */
static bool init_value(const hl_config_line *line, void *record)
{
    hl_error why = {0};
    const hl_yaml_node *culprit;
    hl_yaml *yaml = hl_yaml_parse(line->value, strlen(line->value), line->key, &why);
    if (yaml)
        hl_config_set(record, line, hl_yaml_root(yaml), &culprit, &why);
    hl_yaml_free(yaml);
    HL_ASSERT(!why.status || why.status == HL_ERR_MEMORY);
    return !why.status;
}

hl_status hl_config_init(const hl_config_kind *kind, void *record, hl_error *err)
{
    bool good = true;
    for (int i = 0; i < kind->n && good; i++) {
        const hl_config_line *line = &kind->line[i];
        if (line->type == HL_CONFIG_TYPE_PART)
            good = hl_config_init(line->of, hl_config_member(record, line), err) == HL_OK;
        else if (hl_config_has_value(line))
            good = init_value(line, record);
    }
    return good ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for the configuration");
}

void hl_config_clear(const hl_config_kind *kind, void *record)
{
    for (int i = 0; i < kind->n; i++) {
        const hl_config_line *line = &kind->line[i];
        if (line->type == HL_CONFIG_TYPE_PART)
            hl_config_clear(line->of, hl_config_member(record, line));
        else if (line->type == HL_CONFIG_TYPE_LIST)
            hl_config_resize(record, line, 0, NULL);
        else
            hl_config_release(record, line);
    }
    memset(record, 0, kind->size);
}

/* ------------------------------------------------------------------ lists */

/* Every list is {int n; ENTRY *at}: copied, so that no object is read as another type. */
hl_config_list hl_config_list_of(const void *record, const hl_config_line *line)
{
    hl_config_list list;
    memcpy(&list, (const char *)record + line->offset, sizeof list);
    return list;
}

void *hl_config_entry(const void *record, const hl_config_line *line, int entry)
{
    return hl_config_list_of(record, line).at + (size_t)entry * line->of->size;
}

static void free_entries(const hl_config_kind *kind, hl_config_list *list)
{
    for (int i = 0; i < list->n; i++)
        hl_config_clear(kind, list->at + (size_t)i * kind->size);
    hl_free(list->at);
    *list = (hl_config_list){0};
}

hl_status hl_config_resize(void *record, const hl_config_line *line, int n, hl_error *err)
{
    const hl_config_kind *kind = line->of;
    hl_config_list list = hl_config_list_of(record, line);
    free_entries(kind, &list);
    if (n)
        list.at = hl_alloc((size_t)n, kind->size);
    bool good = list.at || !n;
    for (; good && list.n < n; list.n++)
        good = hl_config_init(kind, list.at + (size_t)list.n * kind->size, NULL) == HL_OK;
    if (!good)
        free_entries(kind, &list);
    memcpy(hl_config_member(record, line), &list, sizeof list);
    return good ? HL_OK : hl_fail(err, HL_ERR_MEMORY, "no memory for its entries");
}
