// One action of an exported model, in C++17:  deploy_cpp MODEL.safetensors
#include <hl.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <vector>

template <auto free> struct freed {
    template <class T> void operator()(T *object) const { free(object); }
};
using model = std::unique_ptr<hl_model, freed<hl_model_free>>;
using policy = std::unique_ptr<hl_policy, freed<hl_policy_free>>;

static void check(bool good, const hl_error &err)
{
    if (!good)
        throw std::runtime_error(err.message);
}

int main(int argc, char **argv)
try {
    hl_error err{};
    model m(hl_model_open(argc > 1 ? argv[1] : "model.safetensors", &err));
    check(m != nullptr, err);
    policy p(hl_policy_new(m.get(), nullptr, &err)); // freed before the model
    check(p != nullptr, err);
    if (float *felt = hl_policy_sense(p.get(), "proprioceptive"))
        felt[0] = 0.5f; // all else is zero
    std::vector<float> action(hl_session_shape(hl_policy_session(p.get()), "action").dim[1]);
    check(hl_policy_act(p.get(), action.data(), &err) == HL_OK, err);
    for (float a : action)
        std::cout << a << '\n';
} catch (const std::exception &e) {
    std::cerr << e.what() << '\n';
    return 1;
}
