-- wrk: each request has a path and a traceparent of its own. Arguments: where paths begin, and after how many requests
-- they come again; 0: never, and then the traceparent is sent.
local number, again, head, tail = 0, 0, "", ""

function init(arguments)
  head, again = "GET " .. arguments[1], tonumber(arguments[2])
  local lines = {}
  for name, value in pairs(wrk.headers) do
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
  end
  tail = table.concat(lines) .. "\r\n"
end

function request()
  number = number + 1
  if again > 0 then
    return head .. number % again .. " HTTP/1.1\r\n" .. tail
  end
  local trace = string.format("traceparent: 00-%016x%016x-%016x-00\r\n", number * 7919, number, number)
  return head .. number .. " HTTP/1.1\r\n" .. trace .. tail
end
