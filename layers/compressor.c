/* 4096 -> 256 by one strategy or all three (hybrid), and the decoder 256 -> 4096 that measures what
 * was kept. */
#include "layers/block.h"

/* [bottleneck | attention | hierarchical | zeros up to the width] -> fusion */
static hl_compressed hybrid(hl_graph *g, hl_params *params, const hl_model_options *o,
                            const hl_model_mode *mode, hl_tensor context)
{
    int64_t third = o->compressed / 3;
    float dropout = mode->training ? o->dropout : 0;
    int at = 0;
    hl_compressed z = hl_bottleneck(g, params, "compressor.bottleneck", o, mode, context, third);
    hl_tensor a = hl_perceiver(g, params, "compressor.attention", o, dropout, context, third);
    hl_tensor h = context;
    if (o->hierarchy_aspects)
        h = hl_hierarchical(g, params, "compressor.hierarchical", o, context);
    h = hl_dense(g, params, "compressor.hierarchical_proj", h, third);
    hl_tensor y = hl_concat(g, 3, (hl_tensor[]){z.y, a, h}, -1);
    y = hl_pad(g, y, -1, 0, o->compressed - 3 * third);
    z.y = hl_blocks(g, params, "compressor.fusion", y, (hl_widths){1, {o->compressed}}, &at, 0, 0);
    return z;
}

hl_compressed hl_compress(hl_graph *g, hl_params *params, const hl_model_options *o,
                          const hl_model_mode *mode, hl_tensor context)
{
    const char *scope = "compressor.compressor";
    float dropout = mode->training ? o->dropout : 0;
    switch (o->compressor) {
    case HL_BOTTLENECK:
        return hl_bottleneck(g, params, scope, o, mode, context, o->compressed);
    case HL_ATTENTION:
        return (hl_compressed){hl_perceiver(g, params, scope, o, dropout, context, o->compressed), {0}};
    case HL_HIERARCHICAL:
        return (hl_compressed){hl_hierarchical(g, params, scope, o, context), {0}};
    default:
        return hybrid(g, params, o, mode, context);
    }
}

hl_tensor hl_decoder(hl_graph *g, hl_params *params, const hl_model_options *o, hl_tensor compressed)
{
    int at = 0;
    hl_tensor h = hl_blocks(g, params, HL_MODEL_DECODER, compressed, o->decoder_widths, &at, 0, 0);
    return hl_dense(g, params, hl_scope_index(HL_MODEL_DECODER, at).text, h, hl_model_context(o));
}
