"""MCP's streamable HTTP."""

from mcp.server.mcpserver import MCPServer

app = MCPServer("tests").streamable_http_app()
