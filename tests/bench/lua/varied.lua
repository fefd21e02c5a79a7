-- A cookie that is another one in each request of a connection
init = function(args)
  requests = {}
  for number = 1, 997 do -- a prime, so that no number of connections lets one of them see the same one again soon
    wrk.headers["Cookie"] = string.format("session=%032x; theme=dark", number)
    requests[number] = wrk.format("GET", "/")
  end
  turn = 0
end
request = function()
  turn = turn % #requests + 1
  return requests[turn]
end
