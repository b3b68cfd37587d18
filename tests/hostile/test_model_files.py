"""Model files that are damaged, forged or no model files at all: refused with FileError, in words, and nothing else."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatewise as gw
from gatewise.errors import FileError, GatewiseError, SpecError
from gatewise.graph import resolve
from hostile.attacks import ATTACKS, SPEC, TINIEST, TINY, Attack, plain, whole

PATH = "model.safetensors"


def load(data: bytes) -> gw.Model:
    """`gatewise.load` of a file of these bytes, without the file: thousands of them would take the disk a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gatewise.file.read_bytes", lambda path: data)
        return gw.load(PATH)


def test_a_forgery_without_fault_is_a_model(tmp_path: Path) -> None:
    # Otherwise every attack below could be refused for the wrong reason.
    path = tmp_path / PATH
    path.write_bytes(whole().bytes())
    wanted = gw.init(SPEC)
    for model in (gw.load(path), load(whole().bytes())):
        assert model.spec == wanted.spec
        assert all((model.tensors[name] == wanted.tensors[name]).all() for name in wanted.tensors)
        assert dict(model.provenance) == {}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_refused_in_words(attack: Attack) -> None:
    with pytest.raises(FileError, match=attack.words) as caught:
        load(attack.data)
    message = str(caught.value)
    assert message.startswith(f"{PATH}: "), "the message names the file"
    assert len(message) < 600
    assert "\n" not in message


def test_no_attack_takes_memory() -> None:
    for attack in ATTACKS:
        tracemalloc.start()
        with pytest.raises(FileError):
            load(attack.data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20 * len(attack.data) + (2 << 20), attack.name


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS holds on Linux")
def test_attacks_as_files_under_a_memory_limit(tmp_path: Path) -> None:
    # tracemalloc does not see what native code takes: here the process may take 192 MiB more than it has.
    for i, attack in enumerate(ATTACKS):
        (tmp_path / f"{i}.safetensors").write_bytes(attack.data)
    code = f"""
import pathlib, resource
import gatewise as gw
gw.init(gw.ModelSpec(1, [gw.LayerSpec("gru", units=1)]))
pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (192 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in pathlib.Path({str(tmp_path)!r}).glob("*.safetensors"):
    try:
        gw.load(path)
    except gw.errors.FileError:
        continue
    raise SystemExit(f"{{path}} was read")
print("all refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "all refused\n"), done.stderr


def test_truncated_at_every_length() -> None:
    data = whole(TINY).bytes()
    for length in range(len(data)):
        with pytest.raises(FileError, match=r"cut off|no valid safetensors"):
            load(data[:length])


def test_every_single_bit_counts() -> None:
    forged = whole(TINIEST)
    forged.provenance = {"seed": 1}
    data = forged.bytes()
    load(data)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FileError):
            load(bytes(damaged))


def test_another_spelling_of_a_number_is_no_damage() -> None:
    forged = whole(TINIEST)
    forged.provenance = {"rate": 1e-05, "loss": 0.30000000000000004}
    data = forged.bytes()
    for one, other in ((b"1e-05", b"1E-05"), (b"0000004", b"0000005")):
        assert data.count(one) == 1
        assert dict(load(data.replace(one, other)).provenance) == forged.provenance
    with pytest.raises(FileError, match="checksum"):
        load(data.replace(b"1e-05", b"1e-04"))


@settings(max_examples=100)
@given(data=st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    with pytest.raises(FileError):
        load(data)


@settings(max_examples=100)
@given(header=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), tail=st.binary(max_size=50))
def test_random_headers(header: bytes, tail: bytes) -> None:
    with pytest.raises(FileError):
        load(len(header).to_bytes(8, "little") + header + tail)


def test_a_folder_a_pipe_and_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe, Path("/dev/zero")):
        with pytest.raises(FileError, match=f"{path}: not a regular file"):
            gw.load(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        gw.load(tmp_path / "nothing.safetensors")


def test_the_core_never_reads_past_a_tensor() -> None:
    # Valid sums, tensors of a smaller model: only the check of shapes stands between this and the core.
    forged = whole(TINY)
    forged.model = plain({"kind": "gru", "name": "gru0", "units": 500})
    forged.structure = resolve(gw.ModelSpec.from_dict(forged.model)).structure
    with pytest.raises(FileError, match=r"'gru0.weight_ih' must be float32 .1500, 1., got float32 .3, 1."):
        load(forged.bytes())


@pytest.mark.parametrize("place", ["kind", "name", "units", "reset", "activation"])
def test_a_megabyte_of_text_is_not_quoted_whole(place: str) -> None:
    forged = whole(TINY)
    forged.model = plain({"kind": "gru", "name": "gru0", "units": 1, place: "x" * 900_000})
    with pytest.raises(FileError) as caught:
        load(forged.bytes())
    assert len(str(caught.value)) < 600


def test_errors_share_the_root_and_keep_the_builtin_meaning() -> None:
    for type_ in (GatewiseError, ValueError):
        with pytest.raises(type_, match="cut off"):
            load(b"")


def test_an_unknown_cpu_is_no_fault_of_the_file() -> None:
    with pytest.raises(SpecError, match=r"cpu must be one of .*base on this machine, got 'z80'"):
        gw.load("nothing.safetensors", cpu="z80")
