"""The equations of every node as one would write them by hand, on arrays, in plain JAX.

Each function has the name of a node of the catalog. It takes the states and the inputs in the order
of their names, and the parameters as a dict. `tests/node_equations.py` has the equations once more, on
plain numbers: that judges the library, and this is what it should be as fast as.
"""

from math import pi

import jax
import jax.numpy as jnp
from jax.numpy import cos, exp, log, sin, tanh, where
from jax.scipy.special import erfc


def logistic(x):
    return 1 / (1 + exp(-x))


def linear(s, c, p):
    return [p["a"] * s[0] + c[0]]


def threshold_linear(s, c, p):
    return [(jnp.maximum(p["b"] + c[0], 0) - s[0]) / p["tau"]]


def horn(s, c, p):
    return [s[1], p["alpha"] * tanh(c[0]) - 2 * p["gamma"] * s[1] - p["omega"] ** 2 * s[0]]


def kuramoto(s, c, p):
    return [p["omega"] + c[0]]


def xy(s, c, p):
    return [c[0] - p["field"] * sin(s[0])]


def hopf(s, c, p):
    x, y = s
    growth = p["a"] - x**2 - y**2
    return [growth * x - p["omega"] * y + c[0], growth * y + p["omega"] * x + c[1]]


def stuart_landau(s, c, p):
    x, y = s
    square = x**2 + y**2
    growth, turn = p["a"] - p["b"] * square, p["omega"] - p["shear"] * square
    return [growth * x - turn * y + c[0], growth * y + turn * x + c[1]]


def fitzhugh_nagumo(s, c, p):
    v, w = s
    return [
        (v - v**3 / 3 - w + p["current"]) / p["tau"] + c[0],
        p["epsilon"] * (v + p["a"] - p["b"] * w) / p["tau"] + c[1],
    ]


def van_der_pol(s, c, p):
    x, y = s
    return [y / p["tau"], (p["mu"] * y * (1 - x**2) - x) / p["tau"] + c[0]]


def generic_2d_oscillator(s, c, p):
    V, W = s
    fast = p["e"] * V**2 - p["f"] * V**3 + p["g"] * V + p["alpha"] * W
    slow = p["c"] * V**2 + p["b"] * V - p["beta"] * W + p["a"]
    return [
        p["d"] * p["tau"] * (fast + p["gamma"] * p["current"] + p["gamma"] * c[0]),
        p["d"] / p["tau"] * slow,
    ]


def wilson_cowan(s, c, p):
    def response(x, a, b):
        return logistic(a * (x - b)) - p["shift"] / (1 + exp(a * b))

    e, i = s
    e_drive = p["c_ee"] * e - p["c_ei"] * i + p["P"] + c[0]
    i_drive = p["c_ie"] * e - p["c_ii"] * i + p["Q"] + c[1]
    e_free, i_free = p["k_e"] - p["r_e"] * e, p["k_i"] - p["r_i"] * i
    return [
        (-e + e_free * response(e_drive, p["a_e"], p["b_e"])) / p["tau_e"],
        (-i + i_free * response(i_drive, p["a_i"], p["b_i"])) / p["tau_i"],
    ]


def jansen_rit(s, c, p):
    def fired(v):
        return 2 * p["e0"] / (1 + exp(p["r"] * (p["v0"] - v)))

    C1, C2, C3, C4 = (p["C"] * p[f"c{i}"] for i in (1, 2, 3, 4))
    A, B, a, b = p["A"], p["B"], p["a"], p["b"]
    y0, y1, y2, y3, y4, y5 = s
    return [
        y3,
        y4,
        y5,
        A * a * fired(y1 - y2) - 2 * a * y3 - a**2 * y0,
        A * a * (p["p"] + c[0] + C2 * fired(C1 * y0)) - 2 * a * y4 - a**2 * y1,
        B * b * C4 * fired(C3 * y0) - 2 * b * y5 - b**2 * y2,
    ]


def wendling(s, c, p):
    def fired(v):
        return 2 * p["e0"] / (1 + exp(p["r"] * (p["v0"] - v)))

    C1, C2, C3, C4, C5, C6, C7 = (p["C"] * p[f"c{i}"] for i in range(1, 8))
    A, B, G, a, b, g = (p[name] for name in "ABGabg")
    y0, y1, y2, y3, y4, y5, y6, y7, y8, y9 = s
    return [
        y5,
        y6,
        y7,
        y8,
        y9,
        A * a * fired(y1 - y2 - y3) - 2 * a * y5 - a**2 * y0,
        A * a * (p["p"] + c[0] + C2 * fired(C1 * y0)) - 2 * a * y6 - a**2 * y1,
        B * b * C4 * fired(C3 * y0) - 2 * b * y7 - b**2 * y2,
        G * g * C7 * fired(C5 * y0 - C6 * y4) - 2 * g * y8 - g**2 * y3,
        B * b * fired(C3 * y0) - 2 * b * y9 - b**2 * y4,
    ]


def wong_wang_rate(I, a, b, d):  # noqa: E741
    u = a * I - b
    return u / (1 - exp(-d * u))


def reduced_wong_wang(s, c, p):
    current = p["w"] * p["J_N"] * s[0] + p["I_0"] + p["J_N"] * c[0]
    fired = wong_wang_rate(current, p["a"], p["b"], p["d"])
    return [-s[0] / p["tau"] + (1 - s[0]) * p["gamma"] * fired]


def wong_wang_exc_inh(s, c, p):
    e, i = s
    I_e = p["w_p"] * p["J_N"] * e - p["J_i"] * i + p["W_e"] * p["I_0"] + p["J_N"] * c[0]
    I_i = p["J_N"] * e - i + p["W_i"] * p["I_0"] + p["J_N"] * c[1]
    H_e = wong_wang_rate(I_e + p["I_ext"], p["a_e"], p["b_e"], p["d_e"])
    H_i = wong_wang_rate(I_i, p["a_i"], p["b_i"], p["d_i"])
    return [
        -e / p["tau_e"] + (1 - e) * p["gamma_e"] * H_e,
        -i / p["tau_i"] + p["gamma_i"] * H_i,
    ]


def montbrio_pazo_roxin(s, c, p):
    r, V = s
    tau = p["tau"]
    return [
        p["Delta"] / (pi * tau**2) + 2 * V * r / tau,
        (V**2 - (pi * tau * r) ** 2 + p["eta"] + p["J"] * tau * r + p["current"] + c[0]) / tau,
    ]


def coombes_byrne(s, c, p):
    r, V, g, q = s
    return [
        p["Delta"] / pi + 2 * r * V - g * r,
        V**2 - (pi * r) ** 2 + p["eta"] + c[0] + g * (p["v_syn"] - V),
        p["alpha"] * q,
        p["alpha"] * (p["kappa"] * pi * r + c[1] - g - 2 * q),
    ]


def thalamus(s, c, p):
    V, W, Ca, h, g, m1, m2, s_et, s_gt, s_er, s_gr, d_et, d_gt, d_er, d_gr = s

    def fired(v):
        return p["Q_max"] * logistic(1.8137993642342178 * (v - p["theta"]) / p["sigma"])

    def leaks(v, s_e, s_g):
        excited = p["g_AMPA"] * s_e * (v - p["E_AMPA"])
        return p["g_L"] * (v - p["E_L"]) + excited + p["g_GABA"] * s_g * (v - p["E_GABA"])

    I_T_t = p["g_T_t"] * h * (V - p["E_Ca"]) * logistic((V + 59) / 6.2) ** 2
    I_T_r = p["g_T_r"] * g * (W - p["E_Ca"]) * logistic((W + 52) / 7.4) ** 2
    I_h = p["g_h"] * (m1 + p["g_inc"] * m2) * (V - p["E_h"])
    slow_t = (p["g_LK"] * (V - p["E_K"]) + I_T_t + I_h) / p["C_m"]
    slow_r = (p["g_LK"] * (W - p["E_K"]) + I_T_r) / p["C_m"]
    tau_h = (30.8 + (211.4 + exp((V + 115.2) / 5)) / (1 + exp((V + 86) / 3.2))) / 3.7371928
    tau_g = (85 + 1 / (exp((W + 48) / 4) + exp(-(W + 407) / 50))) / 3.7371928
    tau_m = 20 + 1000 / (exp((V + 71.5) / 14.2) + exp(-(V + 89) / 11.6))
    active = p["k1"] * Ca**4
    bound = p["k3"] * active / (active + p["k2"]) * m1 - p["k4"] * m2
    e, r = p["gamma_e"], p["gamma_r"]
    return [
        (c[2] + p["current_t"] - leaks(V, s_et, s_gt)) / p["tau"] - slow_t,
        (c[3] + p["current_r"] - leaks(W, s_er, s_gr)) / p["tau"] - slow_r,
        p["alpha_Ca"] * I_T_t - (Ca - p["Ca_0"]) / p["tau_Ca"],
        (logistic(-(V + 81) / 4) - h) / tau_h,
        (logistic(-(W + 80) / 5) - g) / tau_g,
        (logistic(-(V + 75) / 5.5) * (1 - m2) - m1) / tau_m - bound,
        bound,
        d_et,
        d_gt,
        d_er,
        d_gr,
        e**2 * (c[0] - s_et) - 2 * e * d_et,
        r**2 * (p["N_tr"] * fired(W) - s_gt) - 2 * r * d_gt,
        e**2 * (p["N_rt"] * fired(V) + c[1] - s_er) - 2 * e * d_er,
        r**2 * (p["N_rr"] * fired(W) - s_gr) - 2 * r * d_gr,
    ]


def izhikevich(s, c, p):
    r, V, w, q = s
    g = p["g"] * q
    driven = p["eta"] + p["current"] + c[1] + g * (p["e_r"] - V)
    return [
        (p["Delta"] / (pi * p["tau"]) + r * (2 * V - p["alpha"] - g)) / p["tau"],
        (V**2 - p["alpha"] * V - w + driven - (pi * p["tau"] * r) ** 2) / p["tau"],
        (p["b"] * V - w) / p["tau_w"] + p["w_jump"] * r,
        -q / p["tau_s"] + p["s_jump"] * (r + c[0]),
    ]


def tsodyks_markram(s, c, p):
    r, V, x, u = s
    tau, out = p["tau"], u * x * r
    quenched = V**2 - (pi * tau * r) ** 2
    return [
        p["Delta"] / (pi * tau**2) + 2 * V * r / tau,
        (quenched + p["eta"] + p["J"] * tau * out + p["current"] + c[0]) / tau,
        (1 - x) / p["tau_d"] - out,
        (p["U"] - u) / p["tau_f"] + p["facilitation"] * p["U"] * (1 - u) * r,
    ]


def naskar(s, c, p):
    e, i, J = s
    I_e = p["w_p"] * p["J_N"] * e - J * i + p["W_e"] * p["I_0"] + p["J_N"] * c[0]
    I_i = p["J_N"] * e - i + p["W_i"] * p["I_0"] + p["J_N"] * c[1]
    H_e = wong_wang_rate(I_e + p["I_ext"], p["a_e"], p["b_e"], p["d_e"])
    H_i = wong_wang_rate(I_i, p["a_i"], p["b_i"], p["d_i"])
    return [
        -p["beta_e"] * e + p["alpha_e"] * p["T_glu"] * (1 - e) * H_e,
        -p["beta_i"] * i + p["alpha_i"] * p["T_gaba"] * (1 - i) * H_i,
        p["gamma"] * H_i * (H_e - p["rho"]),
    ]


def wilson_cowan_divisive(s, c, p):
    def response(x, a, b):
        return logistic(a * (x - b)) - p["shift"] / (1 + exp(a * b))

    e, i = s
    e_drive = (p["c_ee"] * e + p["P"] + c[0]) / (p["sigma_e"] + p["c_ei"] * i)
    i_drive = (p["c_ie"] * e + p["Q"] + c[1]) / (p["sigma_i"] + p["c_ii"] * i)
    e_free, i_free = p["k_e"] - p["r_e"] * e, p["k_i"] - p["r_i"] * i
    return [
        (-e + e_free * response(e_drive, p["a_e"], p["b_e"])) / p["tau_e"],
        (-i + i_free * response(i_drive, p["a_i"], p["b_i"])) / p["tau_i"],
    ]


def canonical_microcircuit(s, c, p):
    ss, sp, ii, dp = (logistic(p["r"] * v) - 0.5 for v in s[:4])
    onto = [
        p["drive"] + c[0] - p["g_ss_ss"] * ss - p["g_ss_sp"] * sp - p["g_ss_ii"] * ii,
        c[1] + p["g_sp_ss"] * ss - p["g_sp_sp"] * sp,
        c[2] + p["g_ii_ss"] * ss + p["g_ii_dp"] * dp - p["g_ii_ii"] * ii,
        c[3] - p["g_dp_dp"] * dp - p["g_dp_ii"] * ii,
    ]
    taus = [p[f"tau_{name}"] for name in ("ss", "sp", "ii", "dp")]
    rows = zip(onto, s[:4], s[4:], taus, strict=True)
    return [*s[4:], *((u - 2 * i - v / tau) / tau for u, v, i, tau in rows)]


def epileptor(s, c, p):
    x1, y1, z, x2, y2, g = s
    seizure = (x2 - p["slope"] - 0.6 * (z - 4) ** 2) * x1
    f1 = where(x1 < 0, p["a"] * x1**3 - p["b"] * x1**2, seizure)
    f2 = where(x2 >= -0.25, p["aa"] * (x2 + 0.25), 0)
    low = where(z < 0, 0.1 * z**7, 0)
    rates = [
        y1 - f1 - z + p["I_1"] + c[0],
        p["c"] - p["d"] * x1**2 - y1,
        p["r"] * (p["s"] * (x1 - p["x0"]) - z - low - c[1]),
        -y2 + x2 - x2**3 + p["I_2"] + p["bb"] * g - 0.3 * (z - 3.5) + c[2],
        (-y2 + f2) / p["tau"],
        -0.01 * (g - 0.1 * x1),
    ]
    return [p["tt"] * rate for rate in rates]


def epileptor_2d(s, c, p):
    x1, z = s
    seizure = -(p["slope"] + 0.6 * (z - 4) ** 2) * x1
    f1 = where(x1 < 0, p["a"] * x1**3 - p["b"] * x1**2, seizure)
    return [
        p["tt"] * (p["c"] - p["d"] * x1**2 - f1 - z + p["I_1"] + c[0]),
        p["tt"] * p["r"] * (p["s"] * (x1 - p["x0"]) - z - c[1]),
    ]


def larter_breakspear(s, c, p):
    V, W, Z = s
    m = {ion: (1 + tanh((V - p[f"T_{ion}"]) / p[f"d_{ion}"])) / 2 for ion in ("Ca", "K", "Na")}
    Q_V = p["Q_V_max"] * (1 + tanh((V - p["V_T"]) / p["d_V"])) / 2
    Q_Z = p["Q_Z_max"] * (1 + tanh((Z - p["Z_T"]) / p["d_Z"])) / 2
    inner, outer = (1 - p["C"]) * p["a_ee"] * Q_V, p["C"] * p["a_ee"] * c[0]
    dV = -(p["g_Ca"] + p["r_NMDA"] * (inner + outer)) * m["Ca"] * (V - p["V_Ca"])
    dV -= p["g_K"] * W * (V - p["V_K"])
    dV -= p["g_L"] * (V - p["V_L"])
    dV -= (p["g_Na"] * m["Na"] + inner + outer) * (V - p["V_Na"])
    dV -= p["a_ie"] * Z * Q_Z
    dV += p["a_ne"] * p["current"]
    dW = p["phi"] * (m["K"] - W) / p["tau_K"]
    dZ = p["b"] * (p["a_ni"] * p["current"] + p["a_ei"] * V * Q_V)
    return [p["t_scale"] * rate for rate in (dV, dW, dZ)]


def lorenz(s, c, p):
    x, y, z = s
    rates = p["sigma"] * (y - x), x * (p["rho"] - z) - y, x * y - p["beta"] * z
    return [rate / p["tau"] + drive for rate, drive in zip(rates, c, strict=True)]


# --- further models of The Virtual Brain ---------------------------------------------------------


def gast_schmidt_knosche_sd(s, c, p):
    r, V, A, B = s
    tau = p["tau"]
    current = p["eta"] + p["J"] * tau * r * (1 - A) + p["current"] + c[0]
    return [
        p["Delta"] / (pi * tau**2) + 2 * V * r / tau,
        (V**2 - (pi * tau * r) ** 2 + current) / tau,
        B / p["tau_A"],
        (p["alpha"] * r - 2 * B - A) / p["tau_A"],
    ]


def gast_schmidt_knosche_sf(s, c, p):
    r, V, A, B = s
    tau = p["tau"]
    current = p["eta"] + p["J"] * tau * r - A + p["current"] + c[0]
    return [
        p["Delta"] / (pi * tau**2) + 2 * V * r / tau,
        (V**2 - (pi * tau * r) ** 2 + current) / tau,
        B / p["tau_A"],
        (p["alpha"] * r - 2 * B - A) / p["tau_A"],
    ]


def dumont_gutkin(s, c, p):
    r_e, V_e, s_ee, s_ei, r_i, V_i, s_ie, s_ii = s
    tau_e, tau_i, tau_s = p["tau_e"], p["tau_i"], p["tau_s"]
    I_e = p["eta_e"] + p["I_e"] + tau_e * (s_ee - s_ei) + c[0]
    I_i = p["eta_i"] + p["I_i"] + tau_i * (s_ie - s_ii) + c[2]
    return [
        p["Delta_e"] / (pi * tau_e**2) + 2 * r_e * V_e / tau_e,
        (V_e**2 - (pi * tau_e * r_e) ** 2 + I_e) / tau_e,
        (p["J_ee"] * r_e + c[1] - s_ee) / tau_s,
        (p["J_ei"] * r_i - s_ei) / tau_s,
        p["Delta_i"] / (pi * tau_i**2) + 2 * r_i * V_i / tau_i,
        (V_i**2 - (pi * tau_i * r_i) ** 2 + I_i) / tau_i,
        (p["J_ie"] * r_e + p["Gamma"] * c[3] - s_ie) / tau_s,
        (p["J_ii"] * r_i - s_ii) / tau_s,
    ]


def coombes_byrne_2d(s, c, p):
    r, V = s
    g = p["kappa"] * pi * r + c[1]
    return [
        p["Delta"] / pi + 2 * r * V - g * r,
        V**2 - (pi * r) ** 2 + p["eta"] + c[0] + g * (p["v_syn"] - V),
    ]


def adex_neuron(p, x, n_e, n_i, W):
    g_e, g_i = p["Q_e"] * p["tau_e"] * n_e, p["Q_i"] * p["tau_i"] * n_i
    g = g_e + g_i + p["g_L"]
    mu = (g_e * p["E_e"] + g_i * p["E_i"] + p["g_L"] * p[f"E_L_{x}"] - W) / g
    tau_m = p["C_m"] / g
    u_e = n_e * (p["Q_e"] * p["tau_e"] * (p["E_e"] - mu) / g) ** 2
    u_i = n_i * (p["Q_i"] * p["tau_i"] * (p["E_i"] - mu) / g) ** 2
    below = u_e / (tau_m + p["tau_e"]) + u_i / (tau_m + p["tau_i"])
    sigma, tau = jnp.sqrt(below / 2), (u_e + u_i) / below
    a, b, t = (mu + 60) / 10, (sigma - 4) / 6, tau * p["g_L"] / p["C_m"] - 0.5
    P = f"P_{x}_"
    threshold = p[P + "0"] + p[P + "mu"] * a + p[P + "sigma"] * b + p[P + "tau"] * t
    threshold += p[P + "mu_mu"] * a**2 + p[P + "sigma_sigma"] * b**2 + p[P + "tau_tau"] * t**2
    threshold += p[P + "mu_sigma"] * a * b + p[P + "mu_tau"] * a * t + p[P + "sigma_tau"] * b * t
    return erfc((threshold - mu) / (2**0.5 * sigma)) / (2 * tau), mu


def zerlaut_first_order(s, c, p):
    E, I, W_e, W_i, ou = s  # noqa: E741
    ou_drive = p["weight_ou"] * ou
    out_e = jnp.maximum(c[0] + ou_drive, 0) + p["nu_ee"]
    out_i = jnp.maximum(c[1] + ou_drive, 0) + p["nu_ie"]
    n_e, n_i = p["K_e"] * (E + 1e-6), p["K_i"] * (I + 1e-6)
    inhibitory = p["K_ext_i"] * p["nu_ei"], p["K_ext_i"] * p["nu_ii"]
    F_e, mu_e = adex_neuron(p, "e", n_e + p["K_ext_e"] * out_e, n_i + inhibitory[0], W_e)
    F_i, mu_i = adex_neuron(p, "i", n_e + p["K_ext_e"] * out_i, n_i + inhibitory[1], W_i)
    return [
        (F_e - E) / p["T"],
        (F_i - I) / p["T"],
        (p["a_e"] * (mu_e - p["E_L_e"]) - W_e) / p["tau_w_e"] + p["b_e"] * E,
        (p["a_i"] * (mu_i - p["E_L_i"]) - W_i) / p["tau_w_i"] + p["b_i"] * I,
        -ou / p["tau_ou"],
    ]


def zerlaut_second_order(s, c, p):
    E, I, ee, ei, ii, W_e, W_i, ou = s  # noqa: E741
    T, scale, one, zero = p["T"], p["derivative_scale"], jnp.ones_like(E), jnp.zeros_like(E)
    ou_drive = p["weight_ou"] * ou

    def fires(x, drive, W):
        def F(E, I):  # noqa: E741
            out = p["K_ext_e"] * jnp.maximum(drive + ou_drive + p[f"nu_{x}e"], 0)
            n_e = p["K_e"] * (E + 1e-6) + out
            return adex_neuron(p, x, n_e, p["K_i"] * (I + 1e-6) + p["K_ext_i"] * p[f"nu_{x}i"], W)

        def by_e(E, I):  # noqa: E741
            return jax.jvp(F, (E, I), (one, zero))[1][0]

        def by_i(E, I):  # noqa: E741
            return jax.jvp(F, (E, I), (zero, one))[1][0]

        F_e, F_ee = jax.jvp(by_e, (E, I), (one, zero))
        F_i, F_ei = jax.jvp(by_i, (E, I), (one, zero))
        F_ii = jax.jvp(by_i, (E, I), (zero, one))[1]
        bend = scale**2 * (ee * F_ee + 2 * ei * F_ei + ii * F_ii) / 2
        return *F(E, I), scale * F_e, scale * F_i, bend

    F, mu_e, F_e, F_i, bend_e = fires("e", c[0], W_e)
    G, mu_i, G_e, G_i, bend_i = fires("i", c[1], W_i)
    d, h = F - E, G - I
    return [
        (d + bend_e) / T,
        (h + bend_i) / T,
        (F * (1 / T - F) / p["N_e"] + d**2 + 2 * (ee * (F_e - 1) + ei * F_i)) / T,
        (d * h + ei * (F_e + G_i - 2) + ii * F_i + ee * G_e) / T,
        (G * (1 / T - G) / p["N_i"] + h**2 + 2 * (ii * (G_i - 1) + ei * G_e)) / T,
        (p["a_e"] * (mu_e - p["E_L_e"]) - W_e) / p["tau_w_e"] + p["b_e"] * E,
        (p["a_i"] * (mu_i - p["E_L_i"]) - W_i) / p["tau_w_i"] + p["b_i"] * I,
        -ou / p["tau_ou"],
    ]


def on_arc(start, towards, R, angle):
    start = jnp.stack(start)
    towards = jnp.stack(towards)
    e = start / jnp.linalg.norm(start, axis=0)
    f = towards - e * (e * towards).sum(axis=0)
    f = f / jnp.linalg.norm(f, axis=0)
    return [R * (a * cos(angle) + b * sin(angle)) for a, b in zip(e, f, strict=True)]


def bursting(s, c, p, start, stop):
    x, y, z = s
    mu1, mu2, nu = on_arc(start, stop, p["R"], z)
    m, out = p["branch"] * mu1, mu1**2 / 4 - mu2**3 / 27
    three = 2 * jnp.sqrt(jnp.maximum(mu2 / 3, 0))
    three *= cos(jnp.atan2(jnp.sqrt(jnp.maximum(-out, 0)), m / 2) / 3)
    root = jnp.cbrt(jnp.abs(m) / 2 + jnp.sqrt(jnp.maximum(out, 0)))
    one = root + mu2 / (3 * root)
    rest = p["branch"] * where(out < 0, three, where(m > 0, one, one / 2))
    distance = jnp.sqrt((x - rest) ** 2 + y**2)
    return [
        -y + c[0],
        x**3 - mu2 * x - mu1 - y * (nu + p["b"] * x + x**2),
        -p["c"] * (distance - p["dstar"] + p["restore"] * (z - 0.5) ** 7 + c[1]),
    ]


def sphere_point(p, where):
    return [p[f"mu1_{where}"], p[f"mu2_{where}"], p[f"nu_{where}"]]


def epileptor_codim3(s, c, p):
    return bursting(s, c, p, sphere_point(p, "start"), sphere_point(p, "stop"))


def epileptor_codim3_slow_mod(s, c, p):
    x, y, z, uA, uB = s
    start = on_arc(sphere_point(p, "Ain"), sphere_point(p, "Aend"), p["R"], uA)
    stop = on_arc(sphere_point(p, "Bin"), sphere_point(p, "Bend"), p["R"], uB)
    return [*bursting((x, y, z), c, p, start, stop), p["cA"], p["cB"]]


def epileptor_resting_state(s, c, p):
    x, y = s[6:]
    cubic = p["alpha_rs"] * y - p["f_rs"] * x**3 + p["e_rs"] * x**2
    return [
        *epileptor(s[:6], c, p),
        p["d_rs"] * p["tau_rs"] * (cubic + p["gamma_rs"] * (p["current_rs"] + c[3])),
        p["d_rs"] / p["tau_rs"] * (p["a_rs"] + p["b_rs"] * x - p["beta_rs"] * y),
    ]


def hopfield(s, c, p):
    return [(c[0] - s[0]) / p["tau_x"], (c[1] - s[1]) / p["tau_theta"]]


def k_ion_ex(s, c, p):
    x, V, n, change, buffered = s
    beta = p["volume_i"] / p["volume_o"]
    K_i, K_o = p["K_i0"] + change, p["K_o0"] - beta * change + buffered
    Na_i, Na_o = p["Na_i0"] - change, p["Na_o0"] + beta * change
    h = 1.1 - logistic(8 * (n - 0.4))
    I_K = (p["g_K_leak"] + p["g_K"] * n) * (V - 26.64 * log(K_o / K_i))
    g_Na = p["g_Na_leak"] + p["g_Na"] * logistic((V + 24) / 12) * h
    I_Na = g_Na * (V - 26.64 * log(Na_o / Na_i))
    I_Cl = p["g_Cl"] * (V + 26.64 * log(p["Cl_o0"] / p["Cl_i0"]))
    pump = p["rho"] * logistic((Na_i - 21) / 2) * logistic(K_o - 5.5)
    below = p["V_star"] >= V
    R = where(below, p["R_minus"], p["R_plus"])
    vertex = where(below, p["c_minus"], p["c_plus"])
    weight = p["R_minus"] / pi
    return [
        p["Delta"] + 2 * R * (V - vertex) * x - p["J"] * weight * x**2,
        -(I_K + I_Na + I_Cl + pump) / p["C_m"] - R * x**2 + p["eta"] + weight * c[0] * (p["E"] - V),
        (logistic((V + 19) / 18) - n) / p["tau_n"],
        -p["gamma"] / p["volume_i"] * (I_K - 2 * pump),
        p["epsilon"] * (p["K_bath"] - K_o),
    ]


def zetterberg_jansen(s, c, p):
    def fired(v):
        return 2 * p["e0"] / (1 + exp(p["rho_1"] * (p["rho_2"] - v)))

    v1, y1, v2, y2, v3, y3, v4, y4, v5, y5 = s
    He, Hi, ke, ki = p["He"], p["Hi"], p["ke"], p["ki"]
    pyramidal, inhibitory, outside = fired(v2 - v3), fired(v4 - v5), fired(c[0])
    to_1 = p["gamma_1"] * pyramidal + p["gamma_1T"] * (p["U"] + outside)
    to_2 = p["gamma_2"] * fired(v1) + p["gamma_2T"] * (p["P"] + outside)
    to_4 = p["gamma_3"] * pyramidal + p["gamma_3T"] * (p["Q"] + outside)
    return [
        y1,
        He * ke * to_1 - 2 * ke * y1 - ke**2 * v1,
        y2,
        He * ke * to_2 - 2 * ke * y2 - ke**2 * v2,
        y3,
        Hi * ki * p["gamma_4"] * inhibitory - 2 * ki * y3 - ki**2 * v3,
        y4,
        He * ke * to_4 - 2 * ke * y4 - ke**2 * v4,
        y5,
        Hi * ki * p["gamma_5"] * inhibitory - 2 * ki * y5 - p["ki_5"] ** 2 * v5,
    ]


def neuron_modes(p):
    inner, outer = p["sigma"] * p["inner"], p["sigma"] * p["outer"]
    root = jnp.sqrt(outer - inner), jnp.sqrt(2 * inner), jnp.sqrt(outer - inner)
    centre = p["mu"] - (inner + outer) / 2, p["mu"], p["mu"] + (inner + outer) / 2
    return root, centre, (p["share_outer"], p["share_inner"], p["share_outer"])


def mode_fields(p, xi, alpha):
    root, _, share = neuron_modes(p)
    field = sum(a / r * x for a, r, x in zip(share, root, xi, strict=True))
    turned = sum(r * x for r, x in zip(root, alpha, strict=True))
    to_xi = [
        p["K11"] * (r * field - x) - p["K12"] * (a / r * turned - x)
        for r, a, x in zip(root, share, xi, strict=True)
    ]
    return to_xi, [p["K21"] * (r * field - x) for r, x in zip(root, alpha, strict=True)]


def reduced_set_fitzhugh_nagumo(s, c, p):
    root, z, _ = neuron_modes(p)
    populations = (s[:3], s[3:6]), (s[6:9], s[9:])
    out = []
    for (fast, slow), received in zip(populations, mode_fields(p, s[:3], s[6:9]), strict=True):
        for i in range(3):
            x, drive = fast[i], root[i] * z[i] + c[0]
            out.append(p["tau"] * (x - x**3 / (3 * root[i] ** 2) - slow[i] + drive) + received[i])
        for i in range(3):
            out.append((fast[i] - p["b"] * slow[i] + p["a"] * root[i]) / p["tau"])
    return out


def reduced_set_hindmarsh_rose(s, c, p):
    root, z, _ = neuron_modes(p)
    populations = (s[:3], s[3:6], s[6:9]), (s[9:12], s[12:15], s[15:])
    out = []
    for (fast, y, slow), received in zip(populations, mode_fields(p, s[:3], s[9:12]), strict=True):
        for i in range(3):
            x = fast[i]
            own = y[i] - p["a"] * x**3 / root[i] ** 2 + p["b"] * x**2 / root[i] - slow[i]
            out.append(own + root[i] * z[i] + c[0] + received[i])
        for i in range(3):
            out.append(p["c"] * root[i] - p["d"] * fast[i] ** 2 / root[i] - y[i])
        for i in range(3):
            out.append(p["r"] * (p["s"] * (fast[i] - p["xo"] * root[i]) - slow[i]))
    return out
