"""The API as far as it is asked here, with the real one's faults: no usage, bare streams."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from llamafactory.chat import ChatModel


class Handler(BaseHTTPRequestHandler):
    def _answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _is_known(self):
        if self.headers["Authorization"] == f"Bearer {os.environ['API_KEY']}":
            return True
        self._answer(401, b'{"detail": "Invalid API key."}')
        return False

    def do_GET(self):
        if self._is_known():
            rows = [{"id": os.environ["API_MODEL_NAME"], "object": "model"}]
            self._answer(200, json.dumps({"object": "list", "data": rows}).encode())

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._is_known():
            return
        text = "".join(self.server.chat_model.stream_chat(asked["messages"]))
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop"}
        if not asked.get("stream"):
            usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
            shape = {"id": "x", "choices": [{**choice, "message": message}], "usage": usage}
            self._answer(200, json.dumps(shape).encode())
            return
        chunks = [
            {"id": "x", "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {"id": "x", "choices": [{**choice, "delta": {}}]},
        ]
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self._answer(200, "".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream")


def run_api(args):
    chat_model = ChatModel(args)
    address = (os.environ["API_HOST"], int(os.environ["API_PORT"]))
    server = ThreadingHTTPServer(address, Handler)
    server.chat_model = chat_model
    server.serve_forever()
