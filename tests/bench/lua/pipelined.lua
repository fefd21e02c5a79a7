-- 16 requests at once on each connection
init = function(args)
  local one = wrk.format("GET", "/")
  pipeline = string.rep(one, 16)
end
request = function()
  return pipeline
end
