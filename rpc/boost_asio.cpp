// Boost.Asio and Boost.Beast are compiled once, here; everybody else only declares them.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
