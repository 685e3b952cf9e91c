"""What the bench's gateways are configured with: the same upstream, no more work than needed."""

TOKEN = "bench-token"  # noqa: S105 - for the length of one run, on loopback

NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/nginx.log error;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 10000000; tcp_nodelay on;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  client_body_buffer_size 2m; client_max_body_size 64m;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 2048; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
"""
ROUTER = """
[server]
auth_env = "BENCH_TOKEN"
max_concurrency = 4096
[router]
mapping_version = "bench"
[router.policy]
verify = "off"
[router.presets]
chat = ["bench-openai"]
translated = ["bench-anthropic"]
"""
TIER = """
[[router.tiers]]
id = "bench-{dialect}"
base_url = "http://127.0.0.1:{engine}"
dialect = "{dialect}"
context_limit = 1000000
privacy = "local"
tool_support = true
auth_env = "BENCH_ENGINE_TOKEN"
model = "bench-model"
"""
