"""GGUF files for the tests, written by hand so that every byte can be wrong, and models converted to them.

The layout is that of ggml's docs/gguf.md; `gguf`, the format's own Python package, reads what is written here in
cli/test_gguf.py.
"""

import json
import pathlib
import struct

import numpy

from harness import FIXTURES, read_safetensors, write_safetensors

VALUES = {"u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?"),
          "str": (8, None), "u64": (10, "<Q"), "i64": (11, "<q"), "f64": (12, "<d")}
# Number in the file, elements of a block, bytes of a block.
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "BF16": (30, 1, 2), "Q8_0": (8, 32, 34), "Q4_0": (2, 32, 18),
         "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "IQ4_NL": (20, 32, 18), "Q4_K": (12, 256, 144),
         "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "MXFP4": (39, 32, 17)}
CONTROL, USER_DEFINED, UNUSED = 3, 4, 5


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind, value):
    return string(value) if kind == "str" else struct.pack(VALUES[kind][1], value)


class Gguf:
    """What a file is made of; change it, then write it."""

    def __init__(self):
        self.pairs = {}  # key: (kind, value), or ([kind], values)
        self.tensors = {}  # name: (type, shape outermost first, bytes, or a number of zero bytes)
        self.version = 3
        self.alignment = 32

    def header(self):
        out = struct.pack("<4sIQQ", b"GGUF", self.version, len(self.tensors), len(self.pairs))
        for key, (kind, value) in self.pairs.items():
            if isinstance(kind, list):
                body = struct.pack("<IIQ", 9, VALUES[kind[0]][0], len(value))
                body += b"".join(scalar(kind[0], v) for v in value)
            else:
                body = struct.pack("<I", VALUES[kind][0]) + scalar(kind, value)
            out += string(key) + body
        offset = 0
        for name, (kind, shape, data) in self.tensors.items():
            out += string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
            out += struct.pack("<IQ", TYPES[kind][0], offset)
            offset += self.padded(length_of(data))
        return out

    def bytes(self):
        return self.pad(self.header()) + b"".join(self.pad(data) for _, _, data in self.tensors.values())

    def write(self, path):
        with open(path, "wb") as file:
            file.write(self.pad(self.header()))
            for _, _, data in self.tensors.values():
                if isinstance(data, int):  # a hole in the file: the test stays small (see Outcome.peak_bytes)
                    file.truncate(file.seek(self.padded(data), 1))
                else:
                    file.write(self.pad(data))
        return path

    def align(self, alignment):
        self.alignment = alignment
        self.pairs["general.alignment"] = ("u32", alignment)
        return self

    def padded(self, length):
        return (length + self.alignment - 1) // self.alignment * self.alignment

    def pad(self, data):
        return data + b"\0" * (self.padded(len(data)) - len(data))


def length_of(data):
    return data if isinstance(data, int) else len(data)


# --- elements ---

def to_f32(kind, data):
    """The elements of plain types, exactly."""
    if kind == "BF16":
        return (numpy.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    return numpy.frombuffer(data, "<f2" if kind == "F16" else "<f4").astype("<f4")


def from_f32(kind, values):
    """F32 values as a plain type, rounded to nearest even."""
    if kind == "BF16":
        bits = values.astype("<f4").view("<u4")
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return values.astype("<f2" if kind == "F16" else "<f4").tobytes()


# --- models ---

# Name in the file, in HF's checkpoints; the latter behind "model.layers.N." for the tensors of layers.
ENDS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
         "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def hf_tensors(folder):
    """name: (type, shape, bytes) of all the folder's safetensors."""
    tensors = {}
    for path in sorted(pathlib.Path(folder).glob("model*.safetensors")):
        header, data = read_safetensors(path)
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                tensors[name] = (entry["dtype"], entry["shape"], data[begin:end])
    return tensors


def interleaved(data, heads, rows):
    """The rows of q or k as llama GGUFs have them: the two halves of every rotary pair side by side."""
    raw = numpy.frombuffer(data, numpy.uint8).reshape(heads, 2, rows // heads // 2, -1)
    return raw.swapaxes(1, 2).tobytes()


def rope_of(config):
    old = {"rope_theta": config.get("rope_theta"), **(config.get("rope_scaling") or {})}
    return config.get("rope_parameters") or old


def llama3_factors(config, head_dim):
    """What each rotary frequency is divided by, as F32."""
    rope = rope_of(config)
    frequencies = rope["rope_theta"] ** -(numpy.arange(0, head_dim, 2) / head_dim)
    wavelengths = 2 * numpy.pi / frequencies
    original, low, high = (rope[k] for k in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor"))
    smooth = numpy.clip((original / wavelengths - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype("<f4")


def model_pairs(config):
    """The keys of the network, without a tokenizer."""
    arch = config["model_type"]
    head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    rope = rope_of(config)
    numbers = {"block_count": config["num_hidden_layers"], "context_length": config["max_position_embeddings"],
               "embedding_length": config["hidden_size"], "feed_forward_length": config["intermediate_size"],
               "attention.head_count": config["num_attention_heads"],
               "attention.head_count_kv": config["num_key_value_heads"], "attention.key_length": head_dim,
               "attention.value_length": head_dim, "rope.dimension_count": head_dim, "vocab_size": config["vocab_size"]}
    pairs = {"general.architecture": ("str", arch)}
    pairs.update({f"{arch}.{key}": ("u32", value) for key, value in numbers.items()})
    pairs[f"{arch}.rope.freq_base"] = ("f32", rope["rope_theta"])
    pairs[f"{arch}.attention.layer_norm_rms_epsilon"] = ("f32", config["rms_norm_eps"])
    if rope.get("rope_type") == "linear":
        pairs[f"{arch}.rope.scaling.type"] = ("str", "linear")
        pairs[f"{arch}.rope.scaling.factor"] = ("f32", rope["factor"])
    if isinstance(config.get("eos_token_id"), int):
        pairs["tokenizer.ggml.eos_token_id"] = ("u32", config["eos_token_id"])
    return pairs


def model_gguf(config, tensors):
    """The network of HF's config.json and `tensors`, without a tokenizer. Matrices keep their types; vectors become
    F32, as in every GGUF file."""
    gguf = Gguf()
    gguf.pairs = model_pairs(config)
    names = dict(ENDS)
    for layer in range(config["num_hidden_layers"]):
        names.update({f"blk.{layer}.{ours}": f"model.layers.{layer}.{theirs}" for ours, theirs in LAYER.items()})
    for name, hf_name in names.items():
        if hf_name + ".weight" not in tensors:
            continue  # a tied head, norms that llama doesn't have
        kind, shape, data = tensors[hf_name + ".weight"]
        if len(shape) == 1:
            kind, data = "F32", to_f32(kind, data).tobytes()
        if config["model_type"] == "llama" and name.endswith((".attn_q", ".attn_k")):
            heads = config["num_attention_heads" if name.endswith("q") else "num_key_value_heads"]
            data = interleaved(data, heads, shape[0])
        gguf.tensors[name + ".weight"] = (kind, shape, data)
    if rope_of(config).get("rope_type") == "llama3":
        head_dim = gguf.pairs["llama.attention.key_length"][1]
        gguf.tensors["rope_freqs.weight"] = ("F32", [head_dim // 2], llama3_factors(config, head_dim).tobytes())
    return gguf


def with_matrices(tensors, kind):
    """The same network with its matrices rounded to another plain type."""
    return {name: (kind, shape, from_f32(kind, to_f32(old, data))) if len(shape) == 2 else (old, shape, data)
            for name, (old, shape, data) in tensors.items()}


def write_folder(folder, config, tensors):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    header, offset = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    write_safetensors(folder / "model.safetensors", header, b"".join(data for _, _, data in tensors.values()))
    return folder


def add_tokenizer(gguf, folder, pre, rows):
    """Puts a folder's tokenizer.json, chat template and special tokens into the metadata, as converters do: `rows`
    tokens, the ids without one marked as unused."""
    file = json.loads((folder / "tokenizer.json").read_text())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    tokens, types = [f"[PAD{i}]" for i in range(rows)], [UNUSED] * rows
    for spelling, i in file["model"]["vocab"].items():
        tokens[i], types[i] = spelling, 1
    for token in file["added_tokens"]:
        tokens[token["id"]], types[token["id"]] = token["content"], CONTROL if token["special"] else USER_DEFINED
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in file["model"]["merges"]]
    gguf.pairs.update({"tokenizer.ggml.model": ("str", "gpt2"), "tokenizer.ggml.pre": ("str", pre),
                       "tokenizer.ggml.tokens": (["str"], tokens), "tokenizer.ggml.token_type": (["i32"], types),
                       "tokenizer.ggml.merges": (["str"], merges)})
    for key in ("bos", "eos"):
        token = config.get(f"{key}_token")
        if token is not None:
            spelling = token if isinstance(token, str) else token["content"]
            gguf.pairs[f"tokenizer.ggml.{key}_token_id"] = ("u32", tokens.index(spelling))
    if "chat_template" in config:
        gguf.pairs["tokenizer.chat_template"] = ("str", config["chat_template"])
    return gguf


def config_of(folder):
    return json.loads((pathlib.Path(folder) / "config.json").read_text())


def fixture_gguf(name):
    """A fixture as a GGUF file, without a tokenizer."""
    return model_gguf(config_of(FIXTURES / name), hf_tensors(FIXTURES / name))
