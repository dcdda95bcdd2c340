/* Each group of the context's aspects compressed at its own rate, then fused. */
#include "layers/block.h"

hl_tensor hl_hierarchical(hl_graph *g, hl_params *params, const char *scope, const hl_model_options *o,
                          hl_tensor context)
{
    static const char *const names[] = {"sensory_compressor", "semantic_compressor", "physical_compressor",
                                        "temporal_compressor"};
    int64_t C = hl_model_context(o), non_temporal = hl_model_non_temporal(o);
    int64_t semantic = 4 * o->semantic.features, physical = 3 * o->physical.features;
    const int64_t end[] = {non_temporal - physical - semantic, non_temporal - physical, non_temporal, C};
    hl_tensor part[4];
    for (int i = 0; i < 4; i++) {
        hl_scope group = hl_scope_join(scope, names[i]);
        hl_tensor x = hl_slice(g, context, 1, i ? end[i - 1] : 0, end[i]);
        int at = 0;
        x = hl_blocks(g, params, group.text, x, (hl_widths){1, {o->hierarchical_hidden.at[i]}}, &at, 0, 0);
        part[i] = hl_dense(g, params, hl_scope_index(group.text, at).text, x, o->hierarchical_features.at[i]);
    }
    int at = 0;
    return hl_blocks(g, params, hl_scope_join(scope, "fusion").text, hl_concat(g, 4, part, 1),
                     (hl_widths){1, {o->compressed}}, &at, 0, 0);
}
