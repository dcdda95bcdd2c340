/* What the robot measures and what the model reads differ by an affine map per element. */
#include "layers/model.h"
#include "layers/nn.h"

/* [1], per channel [C,1,1] or as one row of x. */
static hl_tensor statistic(hl_graph *g, hl_params *params, const char *of, const char *name,
                           hl_statistic kind, hl_tensor x, hl_init init)
{
    hl_shape row = hl_shape_of(g, x);
    const int64_t one[] = {1}, channels[] = {row.dim[1], 1, 1};
    hl_scope full = hl_scope_join(hl_scope_join("normalization", of).text, name);
    hl_init_rule rule = {init, 0, 0};
    if (kind == HL_ONE_FOR_ALL)
        return hl_param(g, params, full.text, 1, one, rule);
    if (kind == HL_PER_CHANNEL)
        return hl_param(g, params, full.text, 3, channels, rule);
    return hl_param(g, params, full.text, row.rank - 1, row.dim + 1, rule);
}

hl_tensor hl_normalized_sense(hl_graph *g, hl_params *params, const hl_model_mode *mode, int sense,
                              hl_tensor x)
{
    const hl_model_statistics *s = mode->statistics;
    const char *of = hl_model_sense(sense);
    if (s && s->sense[sense].offset)
        x = hl_sub(g, x, statistic(g, params, of, "offset", s->sense[sense].offset, x, HL_ZEROS));
    if (s && s->sense[sense].scale)
        x = hl_div(g, x, statistic(g, params, of, "scale", s->sense[sense].scale, x, HL_ONES));
    return x;
}

hl_tensor hl_denormalized_action(hl_graph *g, hl_params *params, const hl_model_mode *mode, hl_tensor action)
{
    const hl_model_statistics *s = mode->statistics;
    hl_tensor y = action;
    if (s && s->action.scale)
        y = hl_mul(g, y, statistic(g, params, "action", "scale", s->action.scale, y, HL_ONES));
    if (s && s->action.offset)
        y = hl_add(g, y, statistic(g, params, "action", "offset", s->action.offset, y, HL_ZEROS));
    return y;
}
