"""Runs the llama.cpp HTTP server of the `xllamacpp` package with the flags of `llama-server`.

Ends with the process: on SIGTERM, on SIGINT, or when the standard input that it was started with closes, so that a
test run that dies leaves no server behind.
"""

import argparse
import os
import pathlib
import signal
import sys
import threading

import xllamacpp


def flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--ctx-size", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--threads-batch", type=int, default=1)
    parser.add_argument("--chat-template-file")
    return parser.parse_args()


def parameters(given: argparse.Namespace) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.model_alias = {given.alias}
    params.hostnames = [given.host]
    params.port = given.port
    params.n_parallel = given.parallel
    params.n_ctx = given.ctx_size
    params.cpuparams.n_threads = given.threads
    params.cpuparams_batch.n_threads = given.threads_batch
    params.use_jinja = True
    if given.chat_template_file:
        params.chat_template = pathlib.Path(given.chat_template_file).read_text(encoding="utf-8")
    params.endpoint_slots = True
    params.endpoint_metrics = True
    params.endpoint_props = False
    return params


def end_with_the_starter() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    threading.Thread(target=end_with_the_starter, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    server = xllamacpp.Server(parameters(flags()))
    print(f"listening on {server.listening_address}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
